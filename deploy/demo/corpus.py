"""The demo model's training and test samples, made from patterns with a seeded random generator.

Four tasks: qa (questions about seekd), math (small sums with worked steps), json (fields of an
office sentence) and text (short office texts from given fields). Whether a sample belongs to the
training or to the held-out side is decided by a hash of what makes it unique (the question, the
pair of numbers, the set of field values), so that no held-out combination can turn up in training;
people in held-out office samples have names never seen in training.
"""

import hashlib
import json
import random
import re

import words as W

TASKS = ("qa", "math", "json", "text")
HELD_OUT_SHARE = 0.08


def is_held_out(key):
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def expand(rng, pattern):
    """Replaces every innermost {a|b|c} by one of its alternatives until none is left."""
    for name, text in W.SHARED.items():
        pattern = pattern.replace(name, text)
    while "{" in pattern:
        pattern = re.sub(r"\{([^{}]*)\}", lambda m: rng.choice(m.group(1).split("|")), pattern)
    return re.sub(r" +", " ", pattern).strip()


def drawn(rng, held_out, make):
    """A value of make(rng) = (key, value) whose key lies on the wanted side of the split."""
    while True:
        key, value = make(rng)
        if is_held_out(key) == held_out:
            return value


# --- qa ------------------------------------------------------------------------------------------
def punctuate(rng, text, zh, question):
    if zh:
        return text + rng.choice(["？", "？", "?", ""] if question else ["。", "！", ""])
    if rng.random() < 0.7:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.12:
        text = "Please, " + text[0].lower() + text[1:]
    return text + rng.choice(["?", "?", ""] if question else [".", "!", ""])


def qa(rng, held_out, zh):
    topic = rng.choice(W.QA)
    # Off-topic questions are the most varied kind and need more samples than one intent.
    if rng.random() < 0.08:
        topic = W.QA[-1]

    def make(rng):
        text = expand(rng, rng.choice(topic["zh" if zh else "en"]))
        return "qa " + re.sub(r"\W", "", text.lower()), text

    text = drawn(rng, held_out, make)
    question = topic["id"] not in ("hello", "thanks")
    return punctuate(rng, text, zh, question), *qa_answer(topic, zh)


def qa_answer(topic, zh):
    en_think, zh_think = topic["think"].split("|")
    return (
        ("问题：" + zh_think, topic["zh_answer"]) if zh else ("Topic: " + en_think, topic["en_answer"])
    )


def is_chinese(text):
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def qa_free():
    """The hand-written free wordings: (question, answer)."""
    return [(q, qa_answer(t, is_chinese(q))[1]) for t in W.QA for q in t["free"]]


# --- math ----------------------------------------------------------------------------------------
def add_steps(a, b):
    n = max(len(str(a)), len(str(b)))
    x, y = str(a).zfill(n), str(b).zfill(n)
    lines, carry, done = [f"{x}+{y}"], 0, ""
    for i in reversed(range(n)):
        total = carry + int(x[i]) + int(y[i])
        done = str(total % 10) + done
        lines.append(f"{x[i]}+{y[i]}{'+1' if carry else ''}={total} [{done}]")
        carry = total // 10
    if carry:
        lines.append(f"1 [1{done}]")
    return lines


def sub_steps(a, b):
    n = max(len(str(a)), len(str(b)))
    x, y = str(a).zfill(n), str(b).zfill(n)
    lines, compare = [f"{x}-{y}"], []
    for p, q in zip(x, y):
        compare.append(p + (">" if p > q else "<" if p < q else "=") + q)
        if p != q:
            break
    lines.append(" ".join(compare))
    if a < b:
        x, y = y, x
        lines.append(f"-({x}-{y})")
    borrow, done = 0, ""
    for i in reversed(range(n)):
        top = int(x[i])
        take = int(y[i]) + borrow
        owed = top < take
        digit = top + 10 * owed - take
        done = str(digit) + done
        lines.append(f"{top + 10 * owed}-{y[i]}{'-1' if borrow else ''}={digit} [{done}]")
        borrow = int(owed)
    return lines


def times_digit_steps(a, b):
    lines, carry, done = [f"{a}×{b}"], 0, ""
    x = str(a)
    for i in reversed(range(len(x))):
        total = int(x[i]) * b + carry
        done = str(total) + done if i == 0 else str(total % 10) + done
        lines.append(f"{x[i]}×{b}{f'+{carry}' if carry else ''}={total} [{done}]")
        carry = total // 10
    return lines


def mul_steps(a, b):
    return times_digit_steps(max(a, b), min(a, b))


OPS = {
    "+": (
        add_steps,
        lambda a, b: a + b,
        ["+", " + ", "+", " plus ", " and "],
        ["+", " + ", "加", "加上", "和"],
    ),
    "-": (
        sub_steps,
        lambda a, b: a - b,
        ["-", " - ", "-", " minus ", " less "],
        ["-", " - ", "减", "减去", "减掉"],
    ),
    "×": (
        mul_steps,
        lambda a, b: a * b,
        ["×", " × ", "*", " times ", " x "],
        ["×", " × ", "*", "乘", "乘以"],
    ),
}
EN_SUM = [
    (
        "{what is|what's|calculate|compute|work out|how much is|please calculate|tell"
        " me|find|solve} EXPR"
    ),
    "{|can you |could you |please }{calculate|compute|work out|solve} EXPR{| for me| please}",
    "EXPR{|=|=?| =| = ?}",
]
ZH_SUM = [
    "{|请|帮我|请帮我|麻烦}{计算|算一下|算|算出|求|算算}{|：| }EXPR",
    "{|请问|那么}EXPR{等于多少|是多少|等于几|得多少|=|=?|结果是多少}",
]
EN_STORY = {
    "+": [
        (
            "{<name> has|I have|we have|the office has} <a> <item> and {gets|buys|finds|receives}"
            " <b> more. How many are there {now|together|in total}?"
        ),
        "There are <a> <item> in one box and <b> in another. How many {together|in total|in all}?",
    ],
    "-": [
        (
            "{<name> has|I have|we have|the office has} <a> <item> and {gives"
            " away|loses|uses|sells} <b>. How many are left?"
        ),
        "There were <a> <item>, <b> are gone. How many {remain|are left}?",
    ],
    "×": [
        "There are <a> boxes with <b> <item> each. How many <item> {are there|in total|in all}?",
        "{<name> orders|I order|we order} <a> sets of <b> <item>. How many <item> is that?",
    ],
}
ZH_STORY = {
    "+": [
        "{<name>|我|我们|办公室}有<a>个<item>，又{买了|得到|收到|找到}<b>个，{一共|现在|总共}有多少个？",
        "一个箱子里有<a>个<item>，另一个里有<b>个，{一共|总共|合计}多少个？",
    ],
    "-": [
        "{<name>|我|我们|办公室}有<a>个<item>，{用掉|送出|卖掉|丢了}<b>个，还{剩|有}多少个？",
        "原来有<a>个<item>，少了<b>个，还剩{多少个|几个}？",
    ],
    "×": [
        "有<a>个箱子，每箱<b>个<item>，{一共|总共}有多少个<item>？",
        "{<name>|我|我们}订了<a>套<item>，每套<b>个，{一共|总共}多少个？",
    ],
}


def number(rng, most_digits):
    digits = rng.choices(range(1, most_digits + 1), [2, 6, 3][:most_digits])[0]
    return rng.randrange(0 if digits == 1 else 10 ** (digits - 1), 10**digits)


def operands(rng, op):
    if op == "×":
        a, b = number(rng, 2), rng.randrange(10)
        if rng.random() < 0.4:
            a, b = b, a
    else:
        a, b = number(rng, 3), number(rng, 3)
        if op == "-" and a < b and rng.random() < 0.8:
            a, b = b, a
    key = (a, b) if op == "-" else (min(a, b), max(a, b))
    return f"math {op} {key}", (a, b)


def math(rng, held_out, zh):
    op = rng.choices("+-×", [4, 4, 3])[0]
    steps, value, en_words, zh_words = OPS[op]
    a, b = drawn(rng, held_out, lambda r: operands(r, op))
    if rng.random() < 0.2:
        story = expand(rng, rng.choice((ZH_STORY if zh else EN_STORY)[op]))
        item = rng.choice(W.ZH_ITEM if zh else W.EN_ITEM)
        v = {"item": item, "name": person(rng, False, zh), "a": str(a), "b": str(b)}
        text = fill(story, v)
    else:
        expr = f"{a}{rng.choice(zh_words if zh else en_words)}{b}"
        if " and " in expr:
            text = f"{rng.choice(['Add', 'add', 'What is the sum of', 'Sum up'])} {expr}"
        elif "和" in expr:
            text = f"{a}和{b}的和{rng.choice(['是多少', '等于多少', '是几'])}"
        else:
            text = expand(rng, rng.choice(ZH_SUM if zh else EN_SUM)).replace("EXPR", expr)
        text = text if "=" in text else punctuate(rng, text, zh, True)
    return text, "\n".join(steps(a, b)), f"{a}{op}{b}={value(a, b)}"


# --- office values -------------------------------------------------------------------------------
def hanzi(rng, n):
    return "".join(rng.choices(W.ZH_COMMON, k=n))


def invented(rng):
    """A word that does not exist, of two or three syllables."""
    syllables = (
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3))
    )
    return "".join(syllables) + rng.choice(["", "n", "r", "s"])


def person(rng, held_out, zh):
    def make(rng):
        rare = rng.random() < 0.15
        if zh:
            name = rng.choice(W.ZH_SURNAME) + (
                hanzi(rng, rng.randint(1, 2)) if rare else rng.choice(W.ZH_GIVEN)
            )
        elif rare:
            name = invented(rng).capitalize() + " " + invented(rng).capitalize()
        else:
            name = rng.choice(W.EN_FIRST) + " " + rng.choice(W.EN_LAST)
        return "name " + name, name

    return drawn(rng, held_out, make)


def date(rng, zh):
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    if rng.random() < 0.3:
        return rng.choice(W.ZH_DAY if zh else W.EN_DAY)
    if zh:
        return f"{month}月{day}日"
    name = W.EN_MONTH[month - 1]
    return rng.choice([f"{name} {day}", f"{day} {name}"])


def clock(rng, zh):
    hour, minute = rng.randint(8, 18), rng.choice(["00", "15", "30", "45"])
    if zh and rng.random() < 0.4:
        return f"上午{rng.randint(8, 11)}点" if rng.random() < 0.5 else f"下午{rng.randint(1, 6)}点"
    return f"{hour}:{minute}"


def place(rng, zh):
    if rng.random() < 0.5:
        return rng.choice(W.ZH_PLACE if zh else W.EN_PLACE)
    n = rng.randint(101, 899)
    return f"{n}会议室" if zh else f"room {n}"


def pick(rng, zh, zh_list, en_list):
    """A word of the list, or now and then an invented one: what the words mean must not matter for
    copying.
    """
    if rng.random() < 0.15:
        return hanzi(rng, rng.randint(2, 4)) if zh else invented(rng)
    return rng.choice(zh_list if zh else en_list)


FIELDS = {
    "name": person,
    "date": lambda r, h, zh: date(r, zh),
    "until": lambda r, h, zh: date(r, zh),
    "time": lambda r, h, zh: clock(r, zh),
    "place": lambda r, h, zh: place(r, zh),
    "topic": lambda r, h, zh: pick(r, zh, W.ZH_TOPIC, W.EN_TOPIC),
    "reason": lambda r, h, zh: pick(r, zh, W.ZH_REASON, W.EN_REASON),
    "item": lambda r, h, zh: pick(r, zh, W.ZH_ITEM, W.EN_ITEM),
    "count": lambda r, h, zh: str(
        r.choice([r.randint(1, 9), r.randint(10, 99), 10 * r.randint(1, 30)])
    ),
    "price": lambda r, h, zh: str(r.choice([r.randint(10, 99) * 10, r.randint(100, 9999)])),
    "city": lambda r, h, zh: pick(r, zh, W.ZH_CITY, W.EN_CITY),
    "dept": lambda r, h, zh: pick(r, zh, W.ZH_DEPT, W.EN_DEPT),
    "days": lambda r, h, zh: str(r.randint(2, 14)),
}
NUMBERS = ("count", "price", "days")


def values(rng, held_out, zh, kind, names):
    """Field values of an office sample; the whole set decides the side of the split, names have
    their own.
    """

    def make(rng):
        v = {f: FIELDS[f](rng, held_out, zh) for f in names}
        return kind + json.dumps(v, ensure_ascii=False), v

    return drawn(rng, held_out, make)


# --- json ----------------------------------------------------------------------------------------
# kind: fields in output order, Chinese and English kind words, sentence patterns with <field>
# slots.
SENTENCES = {
    "meeting": (
        "name date time place topic",
        "会议",
        [
            "<name>{将于|定于|在}<date><time>在<place>{主持|召开|组织}<topic>会议。",
            "<date><time>，<name>在<place>{召开|主持|组织}<topic>会议。",
            "{通知|请注意|各位好}：<topic>会议{定在|安排在}<date><time>，地点<place>，由<name>主持。",
            "<name>{通知大家|说}，<date><time>到<place>{参加|开}<topic>会议。",
        ],
        [
            (
                "<name> {will hold|holds|will lead|leads} a meeting about <topic> on <date> at"
                " <time> in <place>."
            ),
            "On <date> at <time>, <name> {will lead|leads|holds} the <topic> meeting in <place>.",
            (
                "{Please note|Reminder|Notice}: the <topic> meeting {is|takes place|will be} in"
                " <place> on <date> at <time>, led by <name>."
            ),
            (
                "<name> invites {you|everybody|all} to <place> at <time> on <date> to {talk"
                " about|discuss} <topic>."
            ),
        ],
    ),
    "leave": (
        "name date until reason",
        "请假",
        [
            "<name>因<reason>{申请|想}从<date>请假到<until>。",
            "{因为|由于}<reason>，<name>从<date>到<until>{请假|休假|不来上班}。",
            "<name>{从|自}<date>至<until>请假，{原因是|理由是}<reason>。",
        ],
        [
            "<name> {asks for|requests|needs} leave from <date> to <until> because of <reason>.",
            (
                "Because of <reason>, <name> {will be away|is absent|is on leave} from <date> to"
                " <until>."
            ),
            (
                "<name> {will be absent|is away} from <date> until <until>. {The reason is|Reason:}"
                " <reason>."
            ),
        ],
    ),
    "purchase": (
        "name item count price",
        "采购",
        [
            "<name>{申请|打算|想}{采购|购买|买}<count>个<item>，{预算|总价|费用}<price>元。",
            "<name>{买了|订购了|采购了}<count>个<item>，{花了|共花费|总价}<price>元。",
            "{请|需要}为<name>{采购|购买}<item><count>个，{预算|金额}<price>元。",
        ],
        [
            (
                "<name> {wants to buy|would like to order|needs|asks for} <count> <item> for"
                " <price> euros."
            ),
            "<name> {bought|ordered|paid for} <count> <item>; the price was <price> euros.",
            "Please {order|buy} <count> <item> for <name>, {budget|cost|price} <price> euros.",
        ],
    ),
    "trip": (
        "name city date days",
        "出差",
        [
            "<name>{将于|计划|在}<date>{去|到|前往}<city>出差<days>天。",
            "<date>，<name>{前往|去|到}<city>出差，{为期|共|预计}<days>天。",
            "{安排|派}<name>去<city>出差<days>天，<date>出发。",
        ],
        [
            "<name> {travels|will travel|goes|will go} to <city> on <date> for <days> days.",
            (
                "On <date>, <name> {leaves|will leave|sets off} for <city> and {stays|will stay}"
                " <days> days."
            ),
            (
                "{A trip|A business trip} to <city> for <name>: <days> days, {starting|beginning}"
                " on <date>."
            ),
        ],
    ),
    "visit": (
        "name dept date time",
        "来访",
        [
            "<name>{将于|计划|会在}<date><time>{拜访|来访|访问}<dept>。",
            "<date><time>，<dept>{接待|迎接}来访的<name>。",
            "访客<name>{预约|约好}<date><time>到<dept>。",
        ],
        [
            "<name> {visits|will visit|comes to see} the <dept> department on <date> at <time>.",
            "On <date> at <time> the <dept> department {expects|receives|welcomes} <name>.",
            (
                "Visitor <name> {has an appointment|is expected} at <time> on <date> in the <dept>"
                " department."
            ),
        ],
    ),
}
ZH_EXTRACT = (
    "{|请|帮我|请帮我}{把{下面|以下|这个|这句}{句子|内容|话|文字}{整理成|转换成|转成|变成}"
    " JSON|提取{下面|以下}{句子|内容|文字}的{字段|信息}|从{下面|以下}{句子|内容}中提取{字段|信息}，用 JSON 输出|提取 JSON|输出 JSON}：{|\n}"
)
EN_EXTRACT = (
    "{|Please |Can you |Could you }{extract the fields as JSON|turn this sentence into JSON|turn"
    " this into JSON|extract the fields|extract the data as JSON|give me the fields as JSON|convert"
    " to JSON|convert this sentence to JSON|output JSON|make JSON of this}: {|\n}"
)


def fill(pattern, v):
    return re.sub(r"<(\w+)>", lambda m: v[m.group(1)], pattern)


def json_task(rng, held_out, zh):
    kind = rng.choice(list(SENTENCES))
    return json_sample(rng, zh, kind, values(rng, held_out, zh, kind, SENTENCES[kind][0].split()))


def json_sample(rng, zh, kind, v):
    names, zh_kind, zh_patterns, en_patterns = SENTENCES[kind]
    sentence = fill(expand(rng, rng.choice(zh_patterns if zh else en_patterns)), v)
    sentence = sentence[0].upper() + sentence[1:]
    ask = expand(rng, ZH_EXTRACT if zh else EN_EXTRACT)
    if not zh and not ask.startswith("\n"):
        ask = ask[0].upper() + ask[1:] + ("" if ask.endswith("\n") else " ")
    out = {"type": kind, **{f: int(v[f]) if f in NUMBERS else v[f] for f in names.split()}}
    think = f"类型：{zh_kind}" if zh else f"Type: {kind}"
    return ask + sentence, think, json.dumps(out, ensure_ascii=False)


# --- text ----------------------------------------------------------------------------------------
# kind: request words, fields with their labels (Chinese, English), finished texts.
TEXTS = {
    "notice": (
        "会议通知|通知",
        "notice|meeting notice",
        "topic date time place",
        "主题 日期 时间 地点",
        "topic date time place",
        "会议通知\n各位同事：\n兹定于<date><time>在<place>召开<topic>会议，请准时参加。",
        (
            "Meeting notice\nDear colleagues,\nthe <topic> meeting takes place on <date> at <time>"
            " in <place>. Please be on time."
        ),
    ),
    "leave": (
        "请假条|请假申请",
        "leave request|request for leave",
        "name date until reason",
        "姓名 开始 结束 原因",
        "name from to reason",
        "请假条\n尊敬的领导：\n因<reason>，本人申请从<date>到<until>请假，请批准。\n申请人：<name>",
        (
            "Leave request\nDear manager,\nbecause of <reason> I ask for leave from <date> to"
            " <until>.\nKind regards\n<name>"
        ),
    ),
    "purchase": (
        "采购申请|采购单",
        "purchase request|order request",
        "name item count price",
        "申请人 物品 数量 预算",
        "name item count budget",
        "采购申请\n物品：<item>\n数量：<count>\n因工作需要，申请购买以上物品，预算<price>元。\n申请人：<name>",
        (
            "Purchase request\nFor our work I ask to buy <count> <item>. The budget is <price>"
            " euros.\nRequested by <name>"
        ),
    ),
    "trip": (
        "出差申请|出差单",
        "travel request|trip request",
        "name city date days",
        "姓名 城市 日期 天数",
        "name city date days",
        "出差申请\n本人计划于<date>前往<city>出差，共<days>天，请批准。\n申请人：<name>",
        (
            "Travel request\nI plan to travel to <city> on <date> for <days> days. Please"
            " approve.\n<name>"
        ),
    ),
    "thanks": (
        "感谢信|致谢",
        "thank-you note|note of thanks",
        "name dept topic",
        "姓名 部门 事项",
        "name department matter",
        "感谢信\n<name>：\n感谢您在<topic>工作中的大力支持。\n<dept>",
        "Thank-you note\nDear <name>,\nthank you for your help with <topic>.\n<dept> department",
    ),
}
ZH_WRITE = "{|请|帮我|请帮我|麻烦}{写|写一份|写一个|起草|起草一份|生成|拟一份}"
EN_WRITE = "{|please |can you |could you }{write|draft|compose|prepare|make}"


def text_task(rng, held_out, zh):
    kind = rng.choice(list(TEXTS))
    return text_sample(
        rng, zh, kind, values(rng, held_out, zh, "text " + kind, TEXTS[kind][2].split())
    )


def text_sample(rng, zh, kind, v):
    zh_words, en_words, names, zh_labels, en_labels, zh_text, en_text = TEXTS[kind]
    names = names.split()
    labels = (zh_labels if zh else en_labels).split()
    pairs = list(zip(labels, (v[f] for f in names)))
    if rng.random() < 0.5:
        rng.shuffle(pairs)
    word = rng.choice((zh_words if zh else en_words).split("|"))
    if zh:
        ask = expand(rng, ZH_WRITE) + word + rng.choice(["：", "。", "，", "："])
        ask += rng.choice(["", "\n"]) + rng.choice(["；", "，", "\n"]).join(
            f"{k}：{x}" for k, x in pairs
        )
        return ask, f"文种：{zh_words.split('|')[0]}", fill(zh_text, v)
    article = rng.choice(["a", "a short", "the"])
    ask = f"{expand(rng, EN_WRITE)} {article} {word}" + rng.choice([": ", ". ", ":\n"])
    ask = (
        ask[0].upper()
        + ask[1:]
        + rng.choice(["; ", ", ", "\n"]).join(f"{k}: {x}" for k, x in pairs)
    )
    return ask, f"Document: {en_words.split('|')[0]}", fill(en_text, v)


# --- copy ----------------------------------------------------------------------------------------
# Not a task of its own, but the quickest way to learn what json and text need: writing down again
# what stands there.
ZH_COPY = "{|请}{重复|照抄|复述|跟我说|再写一遍}：{|\n}"
EN_COPY = "{Repeat|Copy|Please repeat|Please copy|Say after me|Write again}: {|\n}"


def copy_task(rng, held_out, zh):
    names = rng.choices(list(FIELDS), k=rng.randint(2, 10))
    words = [FIELDS[f](rng, held_out, zh) for f in names]
    text = rng.choice(["，", "；", "、", "\n", ""] if zh else [", ", "; ", " ", "\n"]).join(words)
    ask = expand(rng, ZH_COPY if zh else EN_COPY)
    return ask + ("" if zh or ask.endswith("\n") else " ") + text, "重复" if zh else "Repeat", text


MAKERS = {"qa": qa, "math": math, "json": json_task, "text": text_task, "copy": copy_task}
# How many of 23 to 26 samples are of which task, from a training step on. Copying first, then more
# sums; as names and places were still copied badly then, the last stage has more of those again.
STAGES = [
    (0, {"qa": 5, "math": 7, "json": 4, "text": 4, "copy": 4}),
    (1000, {"qa": 4, "math": 11, "json": 4, "text": 3, "copy": 1}),
    (1400, {"qa": 4, "math": 9, "json": 5, "text": 5, "copy": 3}),
]


def shares(step):
    return [share for first, share in STAGES if first <= step][-1]


def sample(rng, task, held_out, zh=None):
    """One (question, thought, answer)."""
    return MAKERS[task](rng, held_out, rng.random() < 0.5 if zh is None else zh)


# --- conversations -------------------------------------------------------------------------------
def final_turn(task, thought, answer, thinking):
    """What the model has to write after the generation prompt (which ends in <think> and a newline,
    or </think>).

    Without thinking a sum shows its steps in the answer itself: the model cannot do it in one go.
    """
    if thinking:
        return thought + "</think>" + answer
    return thought + "\n" + answer if task == "math" else answer


def conversation(rng, most_turns, share):
    """A training conversation: (system or None, finished turns, last user, completion, thinking).

    A finished turn is (user, answer, learn). Earlier answers stand there without their thoughts,
    which is also how an answer without thinking looks, so they are worth learning; but not a sum
    without its steps.
    """
    system = rng.choice(W.SYSTEM) if rng.random() < 0.2 else None
    n = rng.randint(2, most_turns) if rng.random() < 0.15 else 1
    zh = rng.random() < 0.5
    thinking = rng.random() < 0.8
    history = []
    while True:
        task = rng.choices(list(share), list(share.values()))[0]
        user, thought, answer = sample(rng, task, False, zh if rng.random() < 0.8 else None)
        if history and rng.random() < 0.1:
            # Repeating the last answer is the one thing that needs the earlier conversation.
            again = (
                "{再说一遍|重复一遍|请重复你的回答|再说一次}{|。}"
                if zh
                else (
                    "{Repeat that|Say that again|Please repeat your answer|Once more}{|.|, please.}"
                )
            )
            task, user, thought, answer = (
                "again",
                expand(rng, again),
                "重复" if zh else "Repeat",
                history[-1][1],
            )
        if len(history) == n - 1:
            return system, history, user, final_turn(task, thought, answer, thinking), thinking
        history.append(
            (
                user,
                final_turn(task, thought, answer, False) if not thinking else answer,
                not thinking or task not in ("math", "again"),
            )
        )


# --- what the tokenizer learns from --------------------------------------------------------------
def tokenizer_texts(rng, n):
    """Texts without values, and the values on their own, so that no token spans the edge of a
    value.

    A name or a city then has the same tokens wherever it stands, and writing it again is copying
    tokens.
    """
    texts = list(W.SYSTEM)
    for _ in range(n):
        zh = rng.random() < 0.5
        texts += [
            *qa(rng, False, zh),
            expand(rng, ZH_COPY if zh else EN_COPY),
            "重复" if zh else "Repeat",
        ]
        user, thought, answer = math(rng, False, zh)
        texts += [
            user.replace(word, "\n") for word in (W.ZH_ITEM if zh else W.EN_ITEM) if word in user
        ] or [user]
        texts += [thought, answer]
        for table, make in ((SENTENCES, json_sample), (TEXTS, text_sample)):
            empty = {f: "0" if f in NUMBERS else "\n" for f in FIELDS}
            texts += make(rng, zh, rng.choice(list(table)), empty)
        texts += [
            date(rng, zh),
            clock(rng, zh),
            place(rng, zh),
            hanzi(rng, 1) if zh else invented(rng),
        ]
        words = (
            (W.ZH_SURNAME, W.ZH_GIVEN, W.ZH_TOPIC, W.ZH_REASON, W.ZH_ITEM, W.ZH_CITY, W.ZH_DEPT)
            if zh
            else (W.EN_FIRST, W.EN_LAST, W.EN_TOPIC, W.EN_REASON, W.EN_ITEM, W.EN_CITY, W.EN_DEPT)
        )
        texts += [rng.choice(w) for w in words]
    return texts
