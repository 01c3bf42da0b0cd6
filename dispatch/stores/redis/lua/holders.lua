-- The maximum of a concurrency key, and the jobs that run under it.
-- flags: no-writes
-- parts: base
-- ARGV: now, key.
return {call('HGET', P .. 'km', ARGV[2]), call('SMEMBERS', P .. 'kr:' .. ARGV[2])}
