class_name Rfsn
extends Node
## NPCs with a mind and a voice: a client for RFSN, for Godot 4.

signal ready_to_talk(npcs: Array)  ## [{id, name, title}]
signal decided(turn: String, decision: Dictionary)  ## Before the first word: start the gesture.
signal sentence(turn: String, index: int, text: String)  ## For the subtitle.
signal sound(turn: String, index: int, sample_rate: int, data: PackedByteArray)  ## PCM16, mono.
signal mouth(turn: String, index: int, visemes: Array)  ## [[shape, start_ms, end_ms]]
signal spoken(turn: String, index: int)
signal state_changed(state: Dictionary)
signal finished(turn: String, text: String)
signal failed(message: String)  ## A sentence for people.
signal lost(reason: String, seconds: float)  ## And when the next attempt is made.
signal other_message(message: Dictionary)

const PROTOCOL := "rfsn.v1"
const HEADER := 12
const LONGEST_WAIT := 10.0
const INBOUND_BYTES := 1 << 20

@export var url := "ws://127.0.0.1:8765/v1/ws"
@export var player := "player"
@export var save := "default"
@export var key := ""
@export var audio := true
@export var visemes := false
@export var first_wait := 0.5
@export var connect_at_start := true

var npcs: Array = []
var _socket: WebSocketPeer = null
var _turns := {}  # turn id -> {number, rates}
var _numbers := {}  # turn number -> turn id
var _made := 0
var _wait := 0.0
var _pause := -1.0
var _open := false


func _ready() -> void:
	if connect_at_start:
		connect_to_server()


func _process(delta: float) -> void:
	if _pause >= 0.0:
		_pause -= delta
		if _pause < 0.0:
			connect_to_server()
	if _socket == null:
		return
	_socket.poll()
	while _socket != null and _socket.get_available_packet_count() > 0:
		var packet := _socket.get_packet()
		if _socket.was_string_packet():
			_take(JSON.parse_string(packet.get_string_from_utf8()))
		else:
			_hear(packet)
	if _socket != null and _socket.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		var code := _socket.get_close_code()
		_lose("the server cannot be reached" if code == -1 else "the connection ended (%d)" % code)


## Opens the connection, and opens it again whenever it is lost, until close().
func connect_to_server() -> void:
	_open = true
	_pause = -1.0
	if _wait == 0.0:
		_wait = first_wait
	_socket = WebSocketPeer.new()
	var protocols := [PROTOCOL]
	if key != "":  # exports to the web can send no headers
		var encoded := Marshalls.utf8_to_base64(key).replace("+", "-").replace("/", "_").replace("=", "")
		protocols.append("rfsn.key." + encoded)
	_socket.supported_protocols = PackedStringArray(protocols)
	_socket.inbound_buffer_size = INBOUND_BYTES
	if _socket.connect_to_url(url) != OK:
		_lose("the server cannot be reached")


## Closes the connection for good.
func close() -> void:
	_open = false
	_pause = -1.0
	if _socket != null:
		_socket.close(1000)


## Says something to an NPC; returns the turn's id.
func say(npc: String, text: String, state := {}, signal_name := "") -> String:
	return _begin({"npc": npc, "text": text, "state": state, "signal": signal_name})


## Lets an NPC speak first.
func greet(npc: String, cause := "approach") -> String:
	return _begin({"npc": npc, "text": "", "cause": cause})


## Barge-in: the NPC stops, and remembers what the player heard. Stop your sound first.
func interrupt(turn: String, index := 0, ms := 0) -> void:
	send({"type": "played", "turn_id": turn, "sentence": index, "ms": ms})
	send({"type": "cancel", "turn_id": turn})


## The player comes near these NPCs.
func approach(names: Array) -> void:
	send({"type": "prefetch", "npcs": names, "player": player, "save": save})


## Something happened in the game; with speak, the NPC says something about it.
func event(npc: String, kind: String, data := {}, speak := false) -> void:
	var message := {"type": "event", "npc": npc, "kind": kind, "data": data, "speak": speak}
	message.merge({"player": player, "save": save})
	send(message)


## What became of an NPC's action: "done", "failed" or "refused".
func result(decision: String, outcome: String, reason := "", speak := false) -> void:
	var message := {"type": "result", "decision_id": decision, "outcome": outcome}
	message.merge({"reason": reason, "speak": speak})
	send(message)


## The game was saved.
func saved(tag: String) -> void:
	send({"type": "snapshot", "tag": tag, "save": save})


## The game was loaded.
func loaded(tag: String) -> void:
	send({"type": "rollback", "tag": tag, "save": save})


## Sends any message of the protocol.
func send(message: Dictionary) -> void:
	if _socket == null or _socket.get_ready_state() != WebSocketPeer.STATE_OPEN:
		failed.emit("There is no connection to the server.")
		return
	_socket.send_text(JSON.stringify(message))


func _begin(fields: Dictionary) -> String:
	_made += 1
	var id := "%s-%d" % [PROTOCOL, _made]
	_turns[id] = {"number": 0, "rates": {}}
	var message := {"type": "turn", "player": player, "save": save, "turn_id": id}
	message.merge(fields)
	send(message)
	return id


func _take(message: Dictionary) -> void:
	var turn: String = message.get("turn_id", "")
	match message["type"]:
		"welcome":
			_wait = first_wait
			npcs = message["npcs"]
			send({"type": "hello", "client": "rfsn godot 4", "audio": audio, "visemes": visemes})
			ready_to_talk.emit(npcs)
		"turn.started":
			if not _turns.has(turn):  # the NPC speaks first
				_turns[turn] = {"number": 0, "rates": {}}
			_turns[turn]["number"] = int(message["turn_no"])
			_numbers[int(message["turn_no"])] = turn
		"decision":
			decided.emit(turn, message)
		"sentence":
			sentence.emit(turn, int(message["index"]), message["text"])
		"speech.started":
			if _turns.has(turn):
				_turns[turn]["rates"][int(message["sentence"])] = int(message["sample_rate"])
		"visemes":
			mouth.emit(turn, int(message["sentence"]), message["visemes"])
		"speech.finished":
			spoken.emit(turn, int(message["sentence"]))
		"state":
			state_changed.emit(message)
		"turn.finished", "turn.cancelled":
			_end(turn, message["text"])
		"turn.failed", "error":
			failed.emit(message["message"])
			_end(turn, "")
		_:
			other_message.emit(message)


func _hear(packet: PackedByteArray) -> void:
	if packet.size() <= HEADER or packet[0] != 1:
		return
	var number := packet.decode_u32(4)
	if not _numbers.has(number):
		return
	var index := packet.decode_u16(2)
	var turn: String = _numbers[number]
	sound.emit(turn, index, _turns[turn]["rates"].get(index, 0), packet.slice(HEADER))


func _end(turn: String, text: String) -> void:
	if not _turns.has(turn):
		return
	_numbers.erase(_turns[turn]["number"])
	_turns.erase(turn)
	finished.emit(turn, text)


func _lose(reason: String) -> void:
	_socket = null
	for turn: String in _turns.keys():
		_end(turn, "")
	if not _open:
		return
	lost.emit(reason, _wait)
	_pause = _wait
	_wait = minf(LONGEST_WAIT, _wait * 2.0)
