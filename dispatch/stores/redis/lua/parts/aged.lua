-- What ended longest ago, in sorted sets by the time of the end: each state has its age, and how many there are to be passed over.
-- Answers at most `limit` of what `keeps` lets go, oldest first, how many to pass over from now on, and whether there is more.
local function aged(family, at, limit, dry, keeps)
  local LOOKS = math.max(500, limit)
  local found, passed, more, states = {}, {}, 0, 0
  for i = at, #ARGV, 3 do
    states = states + 1
    local state, skip = ARGV[i], tonumber(ARGV[i + 2])
    local before = '(' .. text(NOW - tonumber(ARGV[i + 1]))
    local ids = call('ZRANGEBYSCORE', P .. family .. state, '-inf', before, 'WITHSCORES', 'LIMIT', skip, LOOKS)
    if #ids == 2 * LOOKS then
      more = 1
    end
    local kept = 0
    for j = 1, #ids, 2 do
      if keeps(ids[j]) then
        kept = kept + 1
      else
        found[#found + 1] = {id = ids[j], ended = tonumber(ids[j + 1]), state = states, kept = kept}
        kept = dry and kept + 1 or kept
      end
    end
    passed[states] = skip + kept
  end
  table.sort(found, function(a, b)
    if a.ended ~= b.ended then
      return a.ended < b.ended
    end
    return a.id < b.id
  end)
  for i = math.min(#found, limit) + 1, #found do
    local one = found[i]
    local skip = tonumber(ARGV[at + 3 * (one.state - 1) + 2])
    passed[one.state] = math.min(passed[one.state], skip + one.kept)
    found[i] = nil
    more = 1
  end
  return found, passed, more
end
