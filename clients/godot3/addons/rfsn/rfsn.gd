extends Node
# NPCs with a mind and a voice: a client for RFSN, for Godot 3. Add it to the scene, or as an autoload, and connect its signals.

signal ready_to_talk(npcs)                      # [{id, name, title}]
signal decided(turn, decision)                  # before the first word: start the gesture
signal sentence(turn, index, text)              # for the subtitle
signal sound(turn, sentence, sample_rate, data) # PCM16, mono, little-endian; see rfsn_voice.gd
signal mouth(turn, sentence, visemes)           # [[shape, start_ms, end_ms]]
signal spoken(turn, sentence)
signal state_changed(state)
signal finished(turn, text)
signal failed(message)                          # a sentence for people
signal lost(reason, seconds)                    # and when the next attempt is made
signal other_message(message)

const PROTOCOL = "rfsn.v1"
const HEADER = 12
const LONGEST_WAIT = 10.0

export var url = "ws://127.0.0.1:8765/v1/ws"
export var player = "player"
export var save = "default"
export var key = ""
export var audio = true
export var visemes = false
export var first_wait = 0.5
export var connect_at_start = true

var npcs = []
var _client = null
var _turns = {}    # turn id -> {number, rates}
var _numbers = {}  # turn number -> turn id
var _made = 0
var _wait = 0.0
var _pause = -1.0
var _open = false

func _ready():
	if connect_at_start:
		connect_to_server()

# Opens the connection, and opens it again whenever it is lost.
func connect_to_server():
	_open = true
	_pause = -1.0
	if _wait == 0.0:
		_wait = first_wait
	_client = WebSocketClient.new()
	_client.set_buffers(1024, 1024, 256, 1024)
	_client.connect("connection_closed", self, "_on_closed")
	_client.connect("connection_error", self, "_on_error")
	_client.connect("data_received", self, "_on_data")
	var protocols = [PROTOCOL]
	if key != "":  # exports to the web can send no headers
		var encoded = Marshalls.utf8_to_base64(key).replace("+", "-").replace("/", "_").replace("=", "")
		protocols.append("rfsn.key." + encoded)
	if _client.connect_to_url(url, PoolStringArray(protocols)) != OK:
		_lose("the server cannot be reached")

# Closes the connection for good.
func close():
	_open = false
	_pause = -1.0
	if _client != null:
		_client.disconnect_from_host(1000)

func _process(delta):
	if _client != null:
		_client.poll()
	if _pause >= 0.0:
		_pause -= delta
		if _pause < 0.0:
			connect_to_server()

# Says something to an NPC; returns the turn's id.
func say(npc, text, state = {}, signal_name = ""):
	return _begin({"npc": npc, "text": text, "state": state, "signal": signal_name})

# Lets an NPC speak first.
func greet(npc, cause = "approach"):
	return _begin({"npc": npc, "text": "", "cause": cause})

# Barge-in: the NPC stops, and remembers what the player heard. Stop your sound first.
func interrupt(turn, sentence_index = 0, ms = 0):
	send({"type": "played", "turn_id": turn, "sentence": sentence_index, "ms": ms})
	send({"type": "cancel", "turn_id": turn})

# The player comes near these NPCs.
func approach(names):
	send({"type": "prefetch", "npcs": names, "player": player, "save": save})

# Something happened in the game; with speak, the NPC says something about it.
func event(npc, kind, data = {}, speak = false):
	send({"type": "event", "npc": npc, "kind": kind, "player": player, "save": save, "data": data, "speak": speak})

# What became of an NPC's action: "done", "failed" or "refused".
func result(decision, outcome, reason = "", speak = false):
	send({"type": "result", "decision_id": decision, "outcome": outcome, "reason": reason, "speak": speak})

func saved(tag):
	send({"type": "snapshot", "tag": tag, "save": save})

func loaded(tag):
	send({"type": "rollback", "tag": tag, "save": save})

# Sends any message of the protocol.
func send(message):
	if _client == null or _client.get_connection_status() != NetworkedMultiplayerPeer.CONNECTION_CONNECTED:
		emit_signal("failed", "There is no connection to the server.")
		return
	var peer = _client.get_peer(1)
	peer.set_write_mode(WebSocketPeer.WRITE_MODE_TEXT)
	peer.put_packet(to_json(message).to_utf8())

func _begin(fields):
	_made += 1
	var id = PROTOCOL + "-" + str(_made)
	_turns[id] = {"number": 0, "rates": {}}
	var message = {"type": "turn", "player": player, "save": save, "turn_id": id}
	for name in fields:
		message[name] = fields[name]
	send(message)
	return id

func _on_data():
	var peer = _client.get_peer(1)
	var packet = peer.get_packet()
	if peer.was_string_packet():
		_take(parse_json(packet.get_string_from_utf8()))
	else:
		_hear(packet)

func _take(message):
	var turn = message.get("turn_id", "")
	match message["type"]:
		"welcome":
			_wait = first_wait
			npcs = message["npcs"]
			send({"type": "hello", "client": "rfsn godot 3", "audio": audio, "visemes": visemes})
			emit_signal("ready_to_talk", npcs)
		"turn.started":
			if not _turns.has(turn):  # the NPC speaks first
				_turns[turn] = {"number": 0, "rates": {}}
			_turns[turn]["number"] = int(message["turn_no"])
			_numbers[int(message["turn_no"])] = turn
		"decision":
			emit_signal("decided", turn, message)
		"sentence":
			emit_signal("sentence", turn, int(message["index"]), message["text"])
		"speech.started":
			if _turns.has(turn):
				_turns[turn]["rates"][int(message["sentence"])] = int(message["sample_rate"])
		"visemes":
			emit_signal("mouth", turn, int(message["sentence"]), message["visemes"])
		"speech.finished":
			emit_signal("spoken", turn, int(message["sentence"]))
		"state":
			emit_signal("state_changed", message)
		"turn.finished", "turn.cancelled":
			_end(turn, message["text"])
		"turn.failed", "error":
			emit_signal("failed", message["message"])
			_end(turn, "")
		_:
			emit_signal("other_message", message)

func _hear(packet):
	if packet.size() <= HEADER or packet[0] != 1:
		return
	var index = packet[2] | packet[3] << 8
	var number = packet[4] | packet[5] << 8 | packet[6] << 16 | packet[7] << 24
	if _numbers.has(number):
		var turn = _numbers[number]
		var rate = _turns[turn]["rates"].get(index, 0)
		emit_signal("sound", turn, index, rate, packet.subarray(HEADER, packet.size() - 1))

func _end(turn, text):
	if not _turns.has(turn):
		return
	_numbers.erase(_turns[turn]["number"])
	_turns.erase(turn)
	emit_signal("finished", turn, text)

func _on_closed(_clean):
	_lose("the connection ended")

func _on_error():
	_lose("the server cannot be reached")

func _lose(reason):
	_client = null
	for turn in _turns.keys():
		_end(turn, "")
	if not _open:
		return
	emit_signal("lost", reason, _wait)
	_pause = _wait
	_wait = min(LONGEST_WAIT, _wait * 2.0)
