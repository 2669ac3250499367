// Plays the sound of NPCs in a page, and knows which mouth shape is seen now. Create it after a click: browsers ask for that.
//
//   const speaker = await Speaker.open(game);
//   speaker.onmouth = (shape) => drawMouth(shape);      // "aa", "PP", … or "sil"
//   speaker.stop(turn);                                 // barge-in: silence, and tell the server what was heard

/** The loudspeaker of a game. */
export class Speaker {
  #visemes = new Map(); // turn/sentence → visemes
  #ends = new Map(); // turn/sentence → seconds queued so far
  #playing = null; // { turn, sentence, started }
  #heard = new Map(); // turn → [sentence, ms]

  /** Opens a loudspeaker for a game, whose sound it then plays. */
  static async open(game, context = new AudioContext()) {
    await context.audioWorklet.addModule(new URL("./worklet.mjs", import.meta.url));
    return new Speaker(game, context);
  }

  constructor(game, context) {
    this.game = game;
    this.context = context;
    /** Called with a mouth shape whenever it changes. */
    this.onmouth = () => {};
    this.node = new AudioWorkletNode(context, "rfsn-queue", { outputChannelCount: [1] });
    this.node.connect(context.destination);
    this.node.port.onmessage = ({ data }) => this.#heard.set(data.turn, [data.sentence, Math.round(data.seconds * 1000)]);
    game.on("audio", (turn, sentence, rate, samples) => this.#queue(turn, sentence, rate, samples));
    game.on("visemes", (turn, sentence, visemes) => {
      const key = `${turn}/${sentence}`;
      this.#visemes.set(key, [...(this.#visemes.get(key) ?? []), ...visemes]);
    });
  }

  /** Stops the sound of a turn, and the turn. */
  stop(turn) {
    this.node.port.postMessage("clear");
    this.#playing = null;
    this.game.interrupt(turn, ...(this.#heard.get(turn) ?? [0, 1]));
  }

  #queue(turn, sentence, rate, samples) {
    const key = `${turn}/${sentence}`;
    const begin = this.#ends.get(key) ?? 0;
    const end = begin + samples.length / rate;
    this.#ends.set(key, end);
    this.node.port.postMessage({ turn, sentence, end, samples: resampled(samples, rate, this.context.sampleRate) });
    if (begin === 0) this.#speak(turn, sentence);
  }

  #speak(turn, sentence) {
    const started = this.context.currentTime;
    const playing = (this.#playing = { turn, sentence });
    const step = () => {
      if (this.#playing !== playing) return;
      const ms = (this.context.currentTime - started) * 1000;
      const now = (this.#visemes.get(`${turn}/${sentence}`) ?? []).find(([, from, to]) => from <= ms && ms < to);
      this.onmouth(now ? now[0] : "sil");
      if (ms < (this.#ends.get(`${turn}/${sentence}`) ?? 0) * 1000 + 200) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

/** Returns PCM16 samples as floats at another rate, by linear interpolation. */
export function resampled(samples, rate, wanted) {
  const count = Math.max(1, Math.round((samples.length * wanted) / rate));
  const result = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const at = (index * (samples.length - 1)) / Math.max(1, count - 1);
    const left = Math.floor(at);
    const next = samples[Math.min(left + 1, samples.length - 1)];
    result[index] = (samples[left] + (next - samples[left]) * (at - left)) / 32768;
  }
  return result;
}
