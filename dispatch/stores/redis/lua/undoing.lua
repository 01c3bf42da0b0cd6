-- Notes that the first undo is about to act.
-- flags: allow-oom
-- parts: base keys rows moves runs fences
-- ARGV: now, worker, driver, epoch.
local row = fence(ARGV[2], ARGV[3], ARGV[4])
if not row then
  return 'stale'
end
call('HSET', run_key(row.ri), 'cp', '1', 'u', NOW_TEXT)
return 'applied'
