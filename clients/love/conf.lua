-- Of the test only.
function love.conf(t)
  t.window = nil
  for _, name in ipairs({ "audio", "graphics", "window", "joystick", "mouse", "keyboard", "touch", "video", "physics" }) do
    t.modules[name] = false
  end
end
