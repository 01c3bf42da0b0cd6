-- Adds a worker, or starts its row anew: w:<id> hashes, ws all ids. Jobs set aside are brought back by `bring_back`.
-- flags: allow-oom
-- parts: base
-- ARGV: now, id, fields.
local key = P .. 'w:' .. ARGV[2]
local created = call('HGET', key, 'c') or NOW_TEXT
call('DEL', key)
call('HSET', key, 'c', created, 'u', NOW_TEXT, 'seen', NOW_TEXT, 'st', 'active', unpack(ARGV, 3))
call('SADD', P .. 'ws', ARGV[2])
call('INCR', P .. 'registrations')
wake()
return 1
