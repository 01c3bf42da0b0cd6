-- Stores reports of claims that still hold.
-- flags: allow-oom
-- parts: base keys rows
-- ARGV: now, worker, then id, epoch, fraction, note ('=' and the text, or '') each. Answers a reply each.
local replies = {}
for i = 3, #ARGV, 4 do
  local key = job_key(ARGV[i])
  local row = call('HMGET', key, 'st', 'w', 'e')
  if row[1] == 'R' and row[2] == ARGV[2] and (row[3] or '0') == ARGV[i + 1] then
    call('HSET', key, 'pg', ARGV[i + 2], 'u', NOW_TEXT)
    if ARGV[i + 3] == '' then
      call('HDEL', key, 'pn')
    else
      call('HSET', key, 'pn', ARGV[i + 3]:sub(2))
    end
    replies[#replies + 1] = 'applied'
  else
    replies[#replies + 1] = row[1] and 'stale' or 'missing'
  end
end
return replies
