-- Deletes (or, with 1, counts) old entries of the feed, the oldest first, and forgets leases that are over.
-- flags: allow-oom
-- parts: base feed
-- ARGV: now, older than (microseconds), limit, '1' to count only.
local before, gone = NOW - tonumber(ARGV[2]), {}
for _, entry in ipairs(call('XRANGE', P .. 'y', '-', '+', 'COUNT', ARGV[3])) do
  if tonumber(entry[2][10]) >= before then
    break
  end
  gone[#gone + 1] = entry[1]
end
if ARGV[4] == '1' then
  return #gone
end
if #gone > 0 then
  call('XDEL', P .. 'y', unpack(gone))
  call('HSET', P .. 'ys', 'pruned', gone[#gone]:match('^%d+'))
end
for _, channel in ipairs(call('HKEYS', P .. 'yh')) do
  call('ZREMRANGEBYSCORE', P .. 'yl:' .. channel, '-inf', NOW_TEXT)
  note_heard(channel)
end
return #gone
