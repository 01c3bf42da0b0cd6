-- Appends entries to the channels that somebody listens to; answers the last position.
-- parts: base channels
-- ARGV: now, channel, id, type, tenant and data each.
local ends, last, live = {}, 0, {}
for i = 2, #ARGV, 5 do
  local channel = ARGV[i]
  if live[channel] == nil then
    local listeners = P .. 'yl:' .. channel
    local known = call('ZCARD', listeners)
    live[channel] = call('ZCOUNT', listeners, '(' .. NOW_TEXT, '+inf') > 0
    if known > 0 and not live[channel] then
      call('DEL', listeners)
      note_gap(channel)
    end
    ends[channel] = channel_state(channel)
  end
  if live[channel] then
    ends[channel] = ends[channel] + 1
    call('XADD', P .. 'y:' .. channel, text(ends[channel]) .. '-0', 'i', ARGV[i + 1], 't', ARGV[i + 2], 'n', ARGV[i + 3],
      'a', NOW_TEXT, 'd', ARGV[i + 4])
    call('SADD', P .. 'ya', channel)
  end
  last = ends[channel]
end
for channel, position in pairs(ends) do
  if live[channel] then
    call('HSET', P .. 'yc:' .. channel, 'last', text(position))
  end
end
wake()
return last
