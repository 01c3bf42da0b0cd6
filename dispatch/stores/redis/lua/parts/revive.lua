-- Makes an ended row wait again as if new; its open dead letter is closed.
local function start_over(id, row)
  local letter = row.dl and hash(P .. 'x:' .. row.dl)
  if letter and letter.st == 'O' then
    decide_letter(row.dl, 'R')
  end
  if row.w then
    call('HDEL', job_key(id), 'la')
  end
  call('HDEL', job_key(id), 'dl', 'ex', 'fi', 'rs', 're', 'cr', 'f', 'x')
  row.f, row.x, row.dl = nil, nil, nil
  if row.uk then
    take_key(row.uk, id, row.uh)
  end
  join_key(id, row)
  if row.ck then
    if row.k == 'workflow' and row.ri then
      call('HDEL', job_key(id), 'sa')
      row.sa = nil
    end
    call('HSETNX', P .. 'km', row.ck, row.cm or '1')
  end
  join_parent(id, row)
  wait(id, row, NOW_TEXT)
  tell_job('job.enqueued', id, row)
end
