// Plays a turn's speech, frame after frame, and knows how far it got.

export class Player {
  #context = null;
  #gain = null;
  #muted = false;
  #next = 0; // when the next frame starts, on the context's clock
  #rates = new Map(); // sentence → Hz
  #parts = []; // what was scheduled: {sentence, start, end, source}
  #timer = 0;
  #shown = null;
  #shapes = new Map(); // sentence → [[shape, start_ms, end_ms], …]
  #shape = "sil";

  /** Set it to move a mouth; called with the shape it has now, one of the fifteen visemes. */
  onshape = () => {};

  /** Set it to know which sentence sounds now; called with its index, and with null at the end. */
  onsentence = () => {};

  /** Call it from a click or a key: before that, browsers keep silent. */
  wake() {
    if (this.#context === null) {
      this.#context = new AudioContext();
      this.#gain = this.#context.createGain();
      this.#gain.connect(this.#context.destination);
      this.mute(this.#muted);
    }
    this.#context.resume();
  }

  mute(muted) {
    this.#muted = muted;
    if (this.#gain) this.#gain.gain.value = muted ? 0 : 1;
  }

  begin(sentence, rate) {
    if (sentence === 0) {
      this.#parts = [];
      this.#shapes.clear();
    }
    this.#rates.set(sentence, rate);
  }

  /** Takes the mouth shapes of a stretch of a sentence. */
  mouth({ sentence, visemes }) {
    this.#shapes.set(sentence, [...(this.#shapes.get(sentence) ?? []), ...visemes]);
  }

  play({ sentence, samples }) {
    if (!samples.length || this.#context === null) return;
    const rate = this.#rates.get(sentence);
    const buffer = this.#context.createBuffer(1, samples.length, rate);
    const channel = buffer.getChannelData(0);
    for (let index = 0; index < samples.length; index++) channel[index] = samples[index] / 32768;
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    const start = Math.max(this.#next, this.#context.currentTime + 0.05);
    source.start(start);
    this.#next = start + buffer.duration;
    this.#parts.push({ sentence, start, end: this.#next, source });
    this.#timer ||= setInterval(() => this.#tell(), 25);
  }

  /** Whether something sounds, or is about to. */
  get playing() {
    return this.#context !== null && this.#next > this.#context.currentTime;
  }

  /** {sentence, ms} of what was heard so far; nothing when nothing was played. */
  heard() {
    if (this.#context === null || !this.#parts.length) return undefined;
    const now = this.#context.currentTime;
    const part = this.#parts.findLast(({ start }) => start <= now);
    if (part === undefined) return { sentence: 0, ms: 0 };
    const first = this.#parts.find(({ sentence }) => sentence === part.sentence);
    return { sentence: part.sentence, ms: Math.round((Math.min(now, part.end) - first.start) * 1000) };
  }

  stop() {
    for (const { source, end } of this.#parts) if (end > (this.#context?.currentTime ?? 0)) source.stop();
    this.#parts = [];
    this.#next = 0;
    this.#tell();
  }

  #tell() {
    const now = this.#context?.currentTime ?? 0;
    const part = this.#parts.find(({ start, end }) => start <= now && now < end);
    const sentence = part?.sentence ?? null;
    if (now >= this.#next) {
      clearInterval(this.#timer);
      this.#timer = 0;
    }
    if (sentence !== this.#shown) this.onsentence((this.#shown = sentence));
    const ms = part ? (now - this.#parts.find((each) => each.sentence === sentence).start) * 1000 : 0;
    const found = part && this.#shapes.get(sentence)?.find(([, start, end]) => start <= ms && ms < end);
    const shape = found?.[0] ?? "sil";
    if (shape !== this.#shape) this.onshape((this.#shape = shape));
  }
}
