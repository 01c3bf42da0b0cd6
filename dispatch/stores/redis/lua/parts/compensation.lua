-- How a run turns to compensation.
-- The run turns to compensation while nobody holds its driver: that is due at once, with a clean count.
local function compensates(id, row, run_id, run, reason)
  unpark(run_id, run)
  call('HSET', run_key(run_id), 'co', '1', 'rs', reason)
  call('HDEL', run_key(run_id), 'bk')
  call('HINCRBY', run_key(run_id), 'ws', 1)
  run.co, run.rs, run.bk = '1', reason, nil
  to_run_state(run_id, run, 'K')
  call('HDEL', job_key(id), 'f', 'x', 'cr', 'as')
  row.f, row.x, row.cr, row.as = nil, nil, nil, nil
  if row.ck then -- it takes a place, room or not: what only compensates waits for none
    row.sa = row.sa or NOW_TEXT
    call('HSET', job_key(id), 'sa', row.sa)
    call('SADD', P .. 'kr:' .. row.ck, id)
  end
  wait(id, row, NOW_TEXT)
end
