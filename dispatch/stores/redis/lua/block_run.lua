-- Sets a driver aside until somebody has the right code.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving fences
-- ARGV: now, worker, driver, epoch, reason.
local worker, id, epoch = ARGV[2], ARGV[3], ARGV[4]
local row, run = fence(worker, id, epoch, nil, true)
if not row then
  return repeated(worker, id, epoch, 'block') and 'applied' or 'stale'
end
stop(id, row)
call('HSET', job_key(id), 'la', left_mark(worker, epoch, 'block'))
if row.cr then
  compensates(id, row, row.ri, run, row.cr)
else
  block_run(row.ri, run, ARGV[5])
  call('HSET', job_key(id), 'as', '1')
  row.as = '1'
  wait(id, row, NOW_TEXT)
end
admit_left()
joined()
settle()
wake()
return 'applied'
