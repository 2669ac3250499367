extends Node
## Hello NPC: put this on a node with a Label and an RfsnVoice as children.

var game := Rfsn.new()
var turn := ""

@onready var subtitle: Label = $Label
@onready var voice: RfsnVoice = $RfsnVoice


func _ready() -> void:
	game.ready_to_talk.connect(func(_npcs: Array) -> void: turn = game.greet("innkeeper"))
	game.decided.connect(_on_decided)
	game.sentence.connect(_on_sentence)
	game.sound.connect(voice.play_sound)
	game.failed.connect(_show)
	game.lost.connect(func(reason: String, _seconds: float) -> void: _show(reason))
	add_child(game)


func _input(input: InputEvent) -> void:
	if input.is_action_pressed("ui_accept"):
		voice.hush(game)
		turn = game.say("innkeeper", "When does the ferry run?")


func _on_decided(_turn: String, decision: Dictionary) -> void:
	print("gesture: ", decision["action"])


func _on_sentence(_turn: String, _index: int, text: String) -> void:
	_show(text)


func _show(text: String) -> void:
	subtitle.text = text
