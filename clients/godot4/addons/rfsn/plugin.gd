@tool
extends EditorPlugin


func _enable_plugin() -> void:
	add_autoload_singleton("RfsnGame", "res://addons/rfsn/rfsn.gd")


func _disable_plugin() -> void:
	remove_autoload_singleton("RfsnGame")
