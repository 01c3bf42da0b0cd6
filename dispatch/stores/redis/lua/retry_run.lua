-- Lets a run that has ended, or is blocked, go on from its checkpoints.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving revive
-- ARGV: now, run, scoped, app, org. Answers a reply, the state, and who holds its unique key if another does.
local run_id, run = ARGV[2], run_of(ARGV[2])
if not run or not in_scope(run, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
local id, key = driver_of(run_id), run_key(run_id)
local row = job(id)
if run.st == 'B' then
  withdraw(id, row)
  call('HDEL', job_key(id), 'as', 'f', 'x')
  row.as, row.f, row.x = nil, nil, nil
  call('HDEL', key, 'bk')
  unpark(run_id, run)
  to_run_state(run_id, run, standing(run))
  wait(id, row, NOW_TEXT)
else
  if (run.st ~= 'F' and run.st ~= 'X') or (run.cp and not run.cf) then
    return {'conflict', run.st}
  end
  local twin = live_twin(row.uk)
  if twin then
    return {'conflict', run.st, twin.id}
  end
  run.co = run.cf and '1' or nil
  call('HDEL', key, 'cf', 'fi')
  if run.co then
    call('HSET', key, 'co', '1')
  else
    call('HDEL', key, 'co', 'rs')
  end
  start_over(id, row)
  to_run_state(run_id, run, standing(run))
end
admit_left()
joined()
settle()
wake()
return {'applied', run.st}
