-- Appends an event: e:<id> hashes; ei all ids and en:<name> those of one name, by id; ea by time.
-- parts: base
-- ARGV: now, id, name, further fields. Answers the event as stored, this one or the earlier one with the same id.
local id, key = ARGV[2], P .. 'e:' .. ARGV[2]
if call('EXISTS', key) == 0 then
  call('HSET', key, 'n', ARGV[3], 'c', NOW_TEXT, unpack(ARGV, 4))
  call('ZADD', P .. 'ei', 0, id)
  call('ZADD', P .. 'en:' .. ARGV[3], 0, id)
  call('ZADD', P .. 'ea', NOW, id)
  wake()
end
return call('HGETALL', key)
