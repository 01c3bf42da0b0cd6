-- A driver has just been claimed; a run that expired before its first start compensates instead of starting.
local function start_run(row)
  local run = driven(row)
  if not run then
    return
  end
  local id, fields = row.ri, {}
  if not run.sa and row.ex and tonumber(row.ex) < NOW and not run.co then
    run.co = '1'
    fields = {'co', '1', 'rs', 'expired'}
  end
  unpark(id, run)
  if run.bk then
    call('HDEL', run_key(id), 'bk')
  end
  local first = not run.sa
  if first then
    run.sa = NOW_TEXT
    fields[#fields + 1] = 'sa'
    fields[#fields + 1] = NOW_TEXT
  end
  if #fields > 0 then
    call('HSET', run_key(id), unpack(fields))
  end
  to_run_state(id, run, standing(run))
  if first then
    tell_run(id, run)
  end
end
