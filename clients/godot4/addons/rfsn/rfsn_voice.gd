class_name RfsnVoice
extends AudioStreamPlayer
## Plays the sound of NPCs. Connect the signal `sound` of Rfsn to `play_sound`.

var _queue: Array[PackedVector2Array] = []
var _rate := 0
var _turn := ""
var _index := 0
var _begun := 0


func _process(_delta: float) -> void:
	if not playing:
		return
	var playback: AudioStreamGeneratorPlayback = get_stream_playback()
	while not _queue.is_empty():
		var room := playback.get_frames_available()
		if room <= 0:
			return
		var frames := _queue[0]
		playback.push_buffer(frames.slice(0, room))
		if frames.size() <= room:
			_queue.pop_front()
		else:
			_queue[0] = frames.slice(room)


## Queues PCM16 samples.
func play_sound(turn: String, index: int, sample_rate: int, data: PackedByteArray) -> void:
	if sample_rate != _rate or not playing:
		_rate = sample_rate
		var generator := AudioStreamGenerator.new()
		generator.mix_rate = sample_rate
		stream = generator
		play()
	if turn != _turn or index != _index:
		_turn = turn
		_index = index
		_begun = Time.get_ticks_msec()
	var frames := PackedVector2Array()
	frames.resize(data.size() >> 1)
	for at in frames.size():
		frames[at] = Vector2.ONE * (data.decode_s16(2 * at) / 32768.0)
	_queue.append(frames)


## Barge-in: silence, and the NPC remembers what was heard.
func hush(game: Rfsn) -> void:
	_queue.clear()
	stop()
	game.interrupt(_turn, _index, Time.get_ticks_msec() - _begun)
