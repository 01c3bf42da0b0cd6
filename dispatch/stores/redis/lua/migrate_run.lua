-- Gives an unfinished run to the workers that have another version.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving
-- ARGV: now, run, scoped, app, org, version, the driver's new name. Answers a reply and the state.
local run_id, run = ARGV[2], run_of(ARGV[2])
if not run or not in_scope(run, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
if ended(run) or run.co then
  return {'conflict', run.st}
end
local id, name = driver_of(run_id), ARGV[7]
local key, row = job_key(id), job(id)
local running = row.st == 'R'
if running then
  stop(id, row)
  call('HDEL', key, 'w')
  row.w = nil
elseif not row.b then
  withdraw(id, row)
  call('HDEL', key, 'as')
  row.as = nil
end
move(id, row, nil)
settle()
call('HDEL', key, 'la')
call('HSET', key, 'n', name, 'e', text(tonumber(row.e or 0) + 1))
if row.l == row.n then
  call('HSET', key, 'l', name)
  row.l = name
end
row.n = name
call('HSET', run_key(run_id), 'v', ARGV[6])
call('HDEL', run_key(run_id), 'bk')
if running and row.cr then
  compensates(id, row, run_id, run, row.cr)
else
  if row.b then
    call('HSET', key, 'st', 'P', 'r', NOW_TEXT, 'u', NOW_TEXT)
    move(id, row, 'P')
  else
    wait(id, row, NOW_TEXT)
  end
  unpark(run_id, run)
  to_run_state(run_id, run, standing(run))
end
admit_left()
joined()
settle()
wake()
return {'applied', run.st}
