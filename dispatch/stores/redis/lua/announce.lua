-- Stores definitions in the hash `definitions`; jobs set aside are brought back by `bring_back`.
-- flags: allow-oom
-- parts: base
-- ARGV: now, field and document each.
call('HSET', P .. 'definitions', unpack(ARGV, 2))
call('INCR', P .. 'registrations')
wake()
return 1
