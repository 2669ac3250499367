// Runs in the audio thread: plays what was queued, in order, and says how far it is.
class Queue extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = []; // { turn, sentence, samples: Float32Array, at }
    this.port.onmessage = ({ data }) => {
      if (data === "clear") this.pieces = [];
      else this.pieces.push({ ...data, at: 0 });
    };
  }

  process(_, [[output]]) {
    let filled = 0;
    while (filled < output.length && this.pieces.length) {
      const piece = this.pieces[0];
      const part = piece.samples.subarray(piece.at, piece.at + output.length - filled);
      output.set(part, filled);
      filled += part.length;
      piece.at += part.length;
      if (piece.at < piece.samples.length) continue;
      this.pieces.shift();
      this.port.postMessage({ turn: piece.turn, sentence: piece.sentence, seconds: piece.end });
    }
    return true;
  }
}
registerProcessor("rfsn-queue", Queue);
