import type { Game } from "./game.mjs";
export declare class Speaker {
  static open(game: Game, context?: AudioContext): Promise<Speaker>;
  onmouth: (shape: string) => void;
  stop(turn: string): void;
}
export declare function resampled(samples: Int16Array, rate: number, wanted: number): Float32Array;
