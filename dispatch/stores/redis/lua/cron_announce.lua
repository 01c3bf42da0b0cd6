-- Says which cron entries a worker's code has.
-- flags: allow-oom
-- parts: base
-- ARGV: now, worker, digests (JSON), then digest and spec each.
for i = 4, #ARGV, 2 do
  call('HSETNX', P .. 'cc', ARGV[i], NOW_TEXT .. ':' .. ARGV[i + 1])
end
call('HSET', P .. 'cw', ARGV[2], ARGV[3])
call('INCR', P .. 'cv')
return 1
