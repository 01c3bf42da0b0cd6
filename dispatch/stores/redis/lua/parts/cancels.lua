-- Ends a waiting job, or asks for the end of a running one; answers whether it could.
local function cancel_job(id, row, reason)
  if row.st == 'P' or row.st == 'T' then
    withdraw(id, row)
    conclude(id, row, 'X', reason)
  elseif row.st == 'R' then
    call('HSETNX', job_key(id), 'cr', reason)
    call('HSET', job_key(id), 'u', NOW_TEXT)
    call('HSET', P .. 'h:' .. row.w, id, (row.e or '0') .. ':')
    call('SADD', P .. 'hc:' .. row.w, id)
  else
    return false
  end
  return true
end
