-- Records: o:<namespace, key> hashes; ok:<namespace> the keys; on the namespaces; ox "<namespace, key>" by expiry.
local function record_key(namespace, key)
  return P .. 'o:' .. pair(namespace, key)
end

local function lasting(namespace, key)
  local row, flat = hash(record_key(namespace, key))
  if row and (not row.ex or tonumber(row.ex) > NOW) then
    return row, flat
  end
  return nil
end

local function forget(namespace, key)
  call('DEL', record_key(namespace, key))
  call('ZREM', P .. 'ok:' .. namespace, key)
  call('ZREM', P .. 'ox', pair(namespace, key))
  if call('EXISTS', P .. 'ok:' .. namespace) == 0 then
    call('ZREM', P .. 'on', namespace)
  end
end
