export interface Npc { id: string; name: string; title: string }
export interface Decision {
  decision_id: string; npc: string; action: string; style: string; signal: string;
  target: string; arguments: Record<string, unknown>; occasion: string;
}
export interface State {
  npc: string; player: string; save: string; mood: string;
  affinity: number; trust: number; fear: number; relationship: string;
}
/** [shape, start in ms, end in ms], relative to the sentence's sound. */
export type Viseme = [shape: string, start: number, end: number];

export interface Callbacks {
  ready(npcs: Npc[]): void;
  decision(turn: string, decision: Decision): void;
  sentence(turn: string, index: number, text: string): void;
  audio(turn: string, sentence: number, sampleRate: number, samples: Int16Array): void;
  visemes(turn: string, sentence: number, visemes: Viseme[]): void;
  spoken(turn: string, sentence: number): void;
  state(state: State): void;
  finished(turn: string, text: string): void;
  error(message: string): void;
  lost(reason: string, seconds: number): void;
  message(message: { type: string; [field: string]: unknown }): void;
}
export interface Options {
  player?: string; save?: string; key?: string; audio?: boolean; visemes?: boolean;
  /** Seconds before the first attempt to connect again; doubled each time, up to ten. */
  wait?: number;
}
export declare class Game {
  constructor(url: string, options?: Options);
  readonly npcs: Npc[];
  on<E extends keyof Callbacks>(event: E, callback: Callbacks[E]): this;
  connect(): void;
  close(): void;
  say(npc: string, text: string, options?: { state?: Record<string, unknown>; signal?: string }): string;
  greet(npc: string, cause?: string): string;
  interrupt(turn: string, sentence?: number, ms?: number): void;
  approach(...npcs: string[]): void;
  event(npc: string, kind: string, data?: Record<string, unknown>, speak?: boolean): void;
  result(decision: string, outcome: "done" | "failed" | "refused", reason?: string, speak?: boolean): void;
  saved(tag: string): void;
  loaded(tag: string): void;
  send(message: { type: string; [field: string]: unknown }): boolean;
}
