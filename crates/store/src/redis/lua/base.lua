-- Shared by all calls: keys, packed rows, fencing. KEYS[1] is the base of all keys, '<prefix>:{sNNN}:'.
-- Every call checks first and writes after, since Redis does not roll back.

local calls = {}

local function call(name, flags, run)
    calls[name] = { flags = flags, run = run }
end

local LEDGER = { 'q', 'l', 's', 'u', 'k', 'f' }

local FENCED = 'FENCED the shard has another owner'

-- Integers up to 2^53 without an exponent.
local function int(n)
    return string.format('%d', n)
end

local function num(text)
    return tonumber(text) or 0
end

-- What is compared to know that a claim holds its shard.
local function holder(epoch, node, run)
    return epoch .. ' ' .. node .. ' ' .. run
end

-- The shard's row when the caller's claim holds it, else nil. A[1] epoch, A[2] node, A[3] run of the server: a claim
-- that was made before the server restarted or failed over holds nothing.
-- Answers age, lease number, generation, its beginning, and the time of the last possible loss of history.
local function claimed(base, A)
    local m = redis.call('HMGET', base .. 'm', 'holder', 'age', 'seq', 'era')
    if m[1] ~= holder(A[1], A[2], A[3]) and not (IS_FENCE_BROKEN and m[4]) then
        return nil
    end
    local gen, since, lossy = string.match(m[4], '^(%d+) (%d+) (%d+)$')
    return { age = num(m[2]), seq = num(m[3]), gen = gen, since = tonumber(since), lossy = tonumber(lossy) }
end

-- A URL's record: key 16, since 6, age 4, losses 1, attempts 1, then what was offered: flags 1 (kind, source, band), depth 2,
-- length of the redirect chain 1, chain 16 each, text.
local function new_record(key, since, age, offered)
    return key .. struct.pack('>I6I4BB', since, age, 0, 0) .. offered
end

local function read_record(record)
    local since, age, _, attempts, flags, depth = struct.unpack('>I6I4BBBH', record, 17)
    local level = bit.rshift(flags, 4) * 65536 + depth
    return { since = since, age = age, attempts = attempts, level = level, rank = level * 34359738368 + age }
end

-- How often its lease was lost with whoever held it.
local function losses_of(record)
    return string.byte(record, 27)
end

local function with_losses(record, losses)
    return string.sub(record, 1, 26) .. string.char(losses) .. string.sub(record, 28)
end

local function with_state(record, since, attempts)
    return string.sub(record, 1, 16) .. struct.pack('>I6', since) .. string.sub(record, 23, 27)
        .. string.char(math.min(attempts, 255)) .. string.sub(record, 29)
end

local function text_of(record)
    return string.sub(record, 33 + 16 * string.byte(record, 32))
end

-- What of a job waits at a host: queued, leased, turn of its last lease, waiting, put back, levels of its lists.
local function read_share(packed)
    if not packed then
        return { q = 0, l = 0, turn = 0, w = 0, r = 0, levels = '' }
    end
    local q, l, turn, w, r, levels = string.match(packed, '^(%d+),(%d+),(%d+),(%d+),(%d+);(.*)$')
    return { q = tonumber(q), l = tonumber(l), turn = tonumber(turn), w = tonumber(w), r = tonumber(r), levels = levels }
end

local function write_share(base, host, job, share)
    local packed = string.format('%d,%d,%d,%d,%d;%s', share.q, share.l, share.turn, share.w, share.r, share.levels)
    redis.call('HSET', base .. 'hj' .. host, job, packed)
end

-- The sorted levels that have a list, as numbers.
local function levels_of(share)
    local list = {}
    for level in string.gmatch(share.levels, '%d+') do
        list[#list + 1] = tonumber(level)
    end
    return list
end

local function add_level(share, level)
    local list = levels_of(share)
    for _, known in ipairs(list) do
        if known == level then
            return
        end
    end
    list[#list + 1] = level
    table.sort(list)
    share.levels = table.concat(list, ' ')
end

local function drop_level(share, level)
    local list = {}
    for _, known in ipairs(levels_of(share)) do
        if known ~= level then
            list[#list + 1] = known
        end
    end
    share.levels = table.concat(list, ' ')
end

local function list_key(base, host, job, level)
    return base .. 'q' .. host .. ':' .. job .. ':' .. level
end

-- A job's copy in this shard: state, attempts, ledger.
local function read_job(base, job)
    local j = redis.call('HMGET', base .. 'j' .. job, 'state', 'attempts', 'd', 'q', 'l', 's', 'u', 'k', 'f', 'texts')
    if not j[1] then
        return nil
    end
    return {
        key = base .. 'j' .. job, state = j[1], attempts = num(j[2]), d = num(j[3]), q = num(j[4]), l = num(j[5]),
        s = num(j[6]), u = num(j[7]), k = num(j[8]), f = num(j[9]), texts = j[10], read = j,
    }
end

-- Writes what changed.
local function write_ledger(j)
    local changed, read = {}, j.read
    for at, field in ipairs(LEDGER) do
        local value = int(j[field])
        if value ~= read[at + 3] then
            changed[#changed + 1] = field
            changed[#changed + 1] = value
        end
    end
    if #changed > 0 then
        redis.call('HSET', j.key, unpack(changed))
    end
end

local function is_final(state)
    return state == 'F' or state == 'C'
end

-- The set of hosts with something queued or leased.
local function note_host(base, host, n_before, n_after)
    if n_before == 0 and n_after > 0 then
        redis.call('SADD', base .. 'a', host)
    elseif n_before > 0 and n_after == 0 then
        local all = redis.call('HVALS', base .. 'hj' .. host)
        for _, packed in ipairs(all) do
            local share = read_share(packed)
            if share.q + share.l > 0 then
                return
            end
        end
        redis.call('SREM', base .. 'a', host)
    end
end
