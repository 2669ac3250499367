(() => {
  "use strict";
  const NAME = "RFSN";
  const parameters = PluginManager.parameters(NAME);
  const game = new Game(parameters.url || "ws://127.0.0.1:8765/v1/ws", {
    player: parameters.player || "player",
    key: parameters.key || "",
    audio: parameters.sound !== "false",
  });
  const gestureVariable = Number(parameters.gesture || 0);
  let names = new Map(); // NPC id → display name
  let talking = ""; // the turn that is shown
  let speaker = "";
  let context = null;
  let playsUntil = 0;
  let problemShown = false;

  const show = (text) => {
    $gameMessage.setSpeakerName(names.get(speaker) || speaker);
    for (const line of wrapped(text, 50)) $gameMessage.add(line);
  };
  const wrapped = (text, width) => {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length >= width) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines;
  };
  const begin = (npc, start) => {
    if (talking) stop();
    speaker = npc;
    talking = start();
  };
  const stop = () => {
    if (context) context.close();
    context = null;
    playsUntil = 0;
    game.interrupt(talking, 0, 1);
  };

  game
    .on("ready", (npcs) => (names = new Map(npcs.map((npc) => [npc.id, npc.name]))))
    .on("decision", (turn, decision) => {
      if (turn === talking && gestureVariable) $gameVariables.setValue(gestureVariable, decision.action);
    })
    .on("sentence", (turn, index, text) => turn === talking && show(text))
    .on("audio", (turn, sentence, rate, samples) => {
      if (turn !== talking) return;
      context = context || new AudioContext();
      const buffer = context.createBuffer(1, samples.length, rate);
      buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(context.destination);
      playsUntil = Math.max(playsUntil, context.currentTime);
      source.start(playsUntil);
      playsUntil += buffer.duration;
    })
    .on("finished", (turn) => turn === talking && (talking = ""))
    .on("error", (message) => show(message))
    .on("lost", (reason) => {
      if (!problemShown) console.warn(`RFSN: ${reason}`);
      problemShown = true;
    });

  const command = (name, run) => PluginManager.registerCommand(NAME, name, run);
  command("say", function (args) {
    const variable = Number(args.variable || 0);
    begin(args.npc, () => game.say(args.npc, variable ? String($gameVariables.value(variable)) : args.text));
    this.setWaitMode("rfsn");
  });
  command("greet", function (args) {
    begin(args.npc, () => game.greet(args.npc));
    this.setWaitMode("rfsn");
  });
  command("interrupt", () => talking && stop());
  command("approach", (args) => game.approach(args.npc));
  command("event", (args) => game.event(args.npc, args.kind, args.what ? { what: args.what } : {}));

  const updateWaitMode = Game_Interpreter.prototype.updateWaitMode;
  Game_Interpreter.prototype.updateWaitMode = function () {
    if (this._waitMode !== "rfsn") return updateWaitMode.call(this);
    const waiting = talking !== "" || $gameMessage.isBusy();
    if (!waiting) this._waitMode = "";
    return waiting;
  };
  // What NPCs know belongs to the save.
  const saveGame = DataManager.saveGame;
  DataManager.saveGame = function (id) {
    game.saved(`file${id}`);
    return saveGame.call(this, id);
  };
  const loadGame = DataManager.loadGame;
  DataManager.loadGame = function (id) {
    game.loaded(`file${id}`);
    return loadGame.call(this, id);
  };
  game.connect();
})();
