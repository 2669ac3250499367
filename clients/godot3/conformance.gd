extends SceneTree
# Adapter of the conformance sessions; see ../conformance/README.md.

var game

func _initialize():
	game = load("res://addons/rfsn/rfsn.gd").new()
	game.url = OS.get_environment("RFSN_URL")
	game.player = "Ada"
	game.save = "slot1"
	game.first_wait = 0.05
	for name in ["ready_to_talk", "decided", "sentence", "sound", "spoken", "state_changed", "finished", "failed", "lost", "other_message"]:
		game.connect(name, self, "_on_" + name)
	get_root().add_child(game)

func show(values):
	print(to_json(values))

func _on_ready_to_talk(npcs):
	var ids = PoolStringArray()
	for npc in npcs:
		ids.append(npc["id"])
	show(["ready", ids.join(",")])

func _on_decided(turn, decision):
	show(["decision", turn, decision["decision_id"], decision["action"], decision["target"]])

func _on_sentence(turn, index, text):
	show(["sentence", turn, index, text])

func _on_sound(turn, index, rate, data):
	var sum = 0
	for at in range(0, data.size(), 2):
		var value = data[at] | data[at + 1] << 8
		sum += value - 65536 if value >= 32768 else value
	show(["audio", turn, index, rate, data.size() / 2, sum])

func _on_spoken(turn, index):
	show(["spoken", turn, index])

func _on_state_changed(state):
	show(["state", state["npc"], state["mood"], state["relationship"]])

func _on_finished(turn, text):
	show(["finished", turn, text])

func _on_failed(message):
	show(["error", message])

func _on_lost(_reason, _seconds):
	show(["lost"])

func _on_other_message(message):
	if message["type"] != "test.call":
		return
	var call = message["call"]
	match call[0]:
		"say": game.say(call[1], call[2])
		"greet": game.greet(call[1])
		"approach": game.approach([call[1]])
		"event": game.event(call[1], call[2], {"what": call[3]})
		"result": game.result(call[1], call[2], call[3])
		"interrupt": game.interrupt(call[1], int(call[2]), int(call[3]))
		"save": game.saved(call[1])
		"load": game.loaded(call[1])
