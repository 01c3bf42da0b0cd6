-- Deletes old entries of all channels.
-- flags: allow-oom
-- parts: base channels
-- ARGV: now, older than (microseconds), limit.
local before, left = NOW - tonumber(ARGV[2]), tonumber(ARGV[3])
for _, channel in ipairs(call('SMEMBERS', P .. 'ya')) do
  local key, gone = P .. 'y:' .. channel, {}
  for _, entry in ipairs(left > 0 and call('XRANGE', key, '-', '+', 'COUNT', left) or {}) do
    if tonumber(entry[2][8]) >= before then
      break
    end
    gone[#gone + 1] = entry[1]
  end
  if #gone > 0 then
    call('XDEL', key, unpack(gone))
    call('HSET', P .. 'yc:' .. channel, 'floor', text(position_of(gone[#gone])))
    left = left - #gone
  end
  if call('XLEN', key) == 0 then
    call('DEL', key)
    if call('ZCOUNT', P .. 'yl:' .. channel, '(' .. NOW_TEXT, '+inf') == 0 then
      call('DEL', P .. 'yl:' .. channel)
      call('SREM', P .. 'ya', channel)
    end
  end
end
return tonumber(ARGV[3]) - left
