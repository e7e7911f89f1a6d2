"""The word lists and question patterns of the demo corpus. All of it was written for this recipe.

In a pattern, {a|b|c} stands for one of the alternatives (they may be empty and may nest), and a
name with a dollar sign for a fragment of SHARED.
"""

# --- Questions about seekd -----------------------------------------------------------------------
# Fragments that many patterns share.
SHARED = {
    "$HOW": (
        "{how do I|how can I|how do we|how can we|how does one|how to|what do I do to|what must "
        "I do to|tell me how to|explain how to|show me how to|can you tell me how to|can you "
        "explain how to|what is the way to|what is the easiest way to}"
    ),
    "$WHAT": (
        "{what|which|tell me what|tell me which|can you tell me what|do you know what|can you "
        "say which}"
    ),
    "$IS": "{is|so is|tell me, is|I wonder, is|one question: is}",
    "$DOES": "{does|so does|tell me, does|I wonder, does|one question: does}",
    "$SERVER": "{seekd|the seekd server|the server|this server|the program seekd|this program}",
    "$怎么": "{怎么|如何|怎样|要怎么|应该怎么|应该如何|我该怎么|我想知道怎么|我想知道如何|告诉我怎么|告诉我如何|能说说怎么|能说说如何|有什么办法可以}",
    "$服务器": "{seekd|seekd 服务器|seekd 服务|这个服务器|这个服务|这个程序|seekd 程序}",
}

# Per intent: patterns of the question in both languages, the answers, a short thought
# ("English|Chinese"), and free wordings that the patterns cannot produce (never trained on, only
# used to see how far the model gets beyond its patterns).
QA = [
    dict(
        id="what",
        en=[
            (
                "{what is|what exactly is|tell me what|can you explain what|explain what|please"
                " describe|what kind of program is|what sort of thing is|what do you call} seekd"
                " {|is|actually}"
            ),
            (
                "{describe|introduce|explain|define} {|the program |the server |the software |the "
                "project }seekd{| briefly| in short| in one sentence| for me| to me}"
            ),
            (
                "{what does seekd do|what is seekd for|what is the purpose of seekd|what is seekd "
                "used for|what can seekd do for {me|us|my company|our office}|why would {I|we|a "
                "company|an office} {use|want|need} seekd}"
            ),
        ],
        zh=[
            (
                "{|请问|我想问|你好，}{seekd|seekd 程序|seekd 软件|seekd"
                " 项目}{是什么|是什么东西|究竟是什么|到底是什么|是做什么的|是干什么用的|有什么用|能做什么}"
            ),
            (
                "{|请|麻烦你}{介绍|介绍一下|解释一下|说明一下|说说|描述一下|简单介绍}{ seekd| seekd 这个程序| seekd 这个项目|什么是 seekd|"
                "seekd 是什么}"
            ),
        ],
        en_answer=(
            "seekd is a server that runs DeepSeek-family language models inside your own "
            "network. It is one C program."
        ),
        zh_answer="seekd 是一个服务器，在企业自己的网络里运行 DeepSeek 系列语言模型。它是一个 C 程序。",
        think="what seekd is|seekd 是什么",
        free=[
            "I never heard of seekd. What is it?",
            "seekd?",
            "seekd 是干啥的",
        ],
    ),
    dict(
        id="start",
        en=[
            (
                "$HOW {start|run|launch|bring up|fire up|get going with|start up|try|try out|begin "
                "with} $SERVER{| quickly| for the first time| with the demo model| on my machine| "
                "here| today}"
            ),
            (
                "{what is|tell me|which is|give me} the {command|quickest way|easiest"
                " way|script|first step} {to|that will} {start|run|launch|try} $SERVER{| quickly|"
                " for the first time| with the demo model}"
            ),
        ],
        zh=[
            "{|请问|我想问}$怎么{启动|运行|开启|试用|快速启动|跑起来|第一次启动|使用演示模型启动}{ |}$服务器",
            "{|请问|我想问}{启动|运行|开启|试用|快速启动}{ |}$服务器{用什么命令|用哪个命令|的命令是什么|的步骤是什么|要做什么|要执行什么|第一步是什么}",
        ],
        en_answer=(
            "Run deploy/quickstart. It builds seekd and starts it with the built-in demo model."
        ),
        zh_answer="运行 deploy/quickstart，它会编译 seekd 并用内置的演示模型启动。",
        think="how to start seekd|如何启动 seekd",
        free=[
            "I just cloned the repository. How do I get the server up?",
            "seekd 怎么开起来",
        ],
    ),
    dict(
        id="own_model",
        en=[
            (
                "$HOW {load|use|serve|run|open|give it|point it at} {my own model|another model|a "
                "GGUF file|a bigger model|a real model|a different model|my own GGUF file|a model "
                "file|my own weights}{| with seekd| in seekd| on the server| here}"
            ),
            (
                "{what is|tell me|which is|give me} the {command|option|flag|command line} {to"
                " load|to use|to serve|to run|for} {my own model|another model|a GGUF file|a bigger"
                " model|a real model|a different model|a model file}{| with seekd| in seekd}"
            ),
        ],
        zh=[
            "{|请问|我想问}$怎么{加载|使用|运行|换成|指定|打开}{自己的模型|别的模型|另一个模型|GGUF 文件|更大的模型|真正的模型|一个模型文件|我的模型}",
            (
                "{|请问|我想问}{加载|使用|运行|换成|指定}{自己的模型|别的模型|另一个模型|GGUF 文件|更大的模型|模型文件}{用什么命令|用哪个参数|的命令是什么|"
                "的参数是什么|要加什么参数}"
            ),
        ],
        en_answer=(
            "Run seekd --model FILE.gguf with your GGUF file, or give a Hugging Face directory "
            "instead."
        ),
        zh_answer="运行 seekd --model FILE.gguf，其中 FILE.gguf 是你的模型文件，也可以给一个 Hugging Face 目录。",
        think="loading a model|加载模型",
        free=[
            "I have DeepSeek weights on disk. What now?",
            "我有一个 gguf，怎么用",
        ],
    ),
    dict(
        id="api",
        en=[
            (
                "$WHAT {API|interface|protocol|endpoint|URL|route|address} {does|will} $SERVER "
                "{offer|have|speak|use|support|provide|understand}"
            ),
            (
                "$HOW {call|use|reach|query|talk to} {the API|the interface|the chat API|the REST"
                " API|the HTTP API|the model over HTTP|seekd from a program|seekd from my"
                " code|seekd from a script}"
            ),
            (
                "$IS {the API|the interface|seekd|the server} {compatible with|the same as|like} "
                "{OpenAI|the OpenAI API|OpenAI clients}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{提供|支持|使用|有}{什么接口|哪种接口|什么 API|哪种 API|什么协议|哪个地址}",
            "{|请问|我想问}$怎么{调用|使用|访问|请求}{接口|API|聊天接口|HTTP 接口|REST 接口}",
            "{|请问|我想问}{接口|API|$服务器}{和 OpenAI 兼容吗|兼容 OpenAI 吗|跟 OpenAI 一样吗}",
        ],
        en_answer="seekd offers an OpenAI-compatible API: send POST /v1/chat/completions.",
        zh_answer="seekd 提供与 OpenAI 兼容的接口：请求 POST /v1/chat/completions。",
        think="the API|接口",
        free=[
            "Where do my programs send their requests?",
            "程序里往哪里发请求",
        ],
    ),
    dict(
        id="key",
        en=[
            (
                "$HOW {send|pass|use|give|set|supply|present} {my|the|an} {API key|key|access key|"
                "token|API token}{| to seekd| to the server| in a request| with a request}"
            ),
            (
                "{where|in which header|in what header} {do I|must I|should I|does one|do we} {put|"
                "send|write|place|pass} {my|the|an} {API key|key|access key|token|API token}"
            ),
            (
                "$HOW {log in to|authenticate with|authenticate against|authorise a request to|sign"
                " in to} {the API|the interface|seekd over HTTP|the REST API}"
            ),
        ],
        zh=[
            "{|请问|我想问}$怎么{发送|传递|使用|填写|提供|带上}{API 密钥|密钥|访问密钥|API key|令牌}",
            "{|请问|我想问}{API 密钥|密钥|访问密钥|API key|令牌}{放在哪里|写在哪里|放在哪个请求头|写在哪个头里|怎么写|怎么放}",
            "{|请问|我想问}{接口|API|请求}{怎么认证|如何认证|怎么鉴权|如何鉴权|怎么验证身份}",
        ],
        en_answer="Send your API key in the header Authorization: Bearer YOUR_KEY.",
        zh_answer="把 API 密钥放在请求头 Authorization: Bearer YOUR_KEY 里。",
        think="the API key|API 密钥",
        free=[
            "My request gets a 401. What header is missing?",
            "密钥要怎么给服务器",
        ],
    ),
    dict(
        id="offline",
        en=[
            (
                "$DOES $SERVER {need|use|require|want} {the internet|an internet connection|a "
                "network connection to the outside|the cloud|internet access|online access}"
            ),
            (
                "{can|could} $SERVER {run|work|be used} {offline|without internet|without the "
                "internet|without a connection|in a closed network|behind our firewall}"
            ),
            (
                "$DOES $SERVER {send|leak|upload|pass} {my|our|any}"
                " {data|texts|questions|documents|prompts} {to the outside|to the cloud|to the"
                " internet|to anybody|away}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{需要|要|用}{联网|互联网|外网|上网|连接云端}吗",
            "{|请问|我想问}$服务器{可以|能|能够|能不能|可不可以}{离线运行|断网使用|不联网运行|在内网运行|没有网络时运行|离线使用}{|吗}",
            "{|请问|我想问}{我的|我们的|公司的}{数据|资料|问题|文件|文字}会{离开内网|上传|传到外面|泄露|传到云端}吗",
        ],
        en_answer="seekd runs offline. Nothing leaves your network.",
        zh_answer="seekd 可以离线运行，数据不会离开你的网络。",
        think="working offline|离线运行",
        free=[
            "Our office has no web access. Is that a problem?",
            "没有外网可以吗",
        ],
    ),
    dict(
        id="gpu",
        en=[
            (
                "$WHAT {GPU|GPUs|graphics card|graphics cards|hardware|graphics hardware}"
                " {does|will} $SERVER {need|use|support|run on|require|want}"
            ),
            (
                "$DOES $SERVER {need|use|support|require|work with} {Vulkan|a GPU|an NVIDIA GPU|an "
                "AMD GPU|an Intel GPU|a graphics card}"
            ),
            (
                "{can|could} $SERVER {run|work} {without a GPU|on a CPU|without a graphics card|on "
                "an AMD card|on an Intel card|with Vulkan}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{需要|支持|使用|用|要求}{什么显卡|哪种显卡|什么 GPU|哪些 GPU|什么硬件|哪些硬件}",
            "{|请问|我想问}$服务器{需要|支持|使用|用}{ Vulkan | GPU |显卡|英伟达显卡| AMD 显卡|英特尔显卡}吗",
            "{|请问|我想问}{没有显卡|没有 GPU|只有 CPU|用 AMD 显卡}{能|可以|能不能}{运行|用|跑}{ seekd|这个程序}{|吗}",
        ],
        en_answer=(
            "seekd computes with Vulkan, so GPUs of any vendor work. Without a GPU it uses the CPU."
        ),
        zh_answer="seekd 用 Vulkan 计算，各厂商的 GPU 都可以；没有 GPU 时用 CPU。",
        think="the hardware|硬件",
        free=[
            "I only have an old laptop. Will it do?",
            "我的电脑显卡是 A 卡",
        ],
    ),
    dict(
        id="models",
        en=[
            (
                "$WHAT {models|language models|model families|LLMs|checkpoints} {does|can|will} "
                "$SERVER {run|support|serve|load|know|handle}"
            ),
            (
                "$DOES $SERVER {run|support|serve|load|know|handle} {DeepSeek|DeepSeek models|"
                "DeepSeek V3|DeepSeek R1|DeepSeek V2|R1|V3|V2|the R1 distills|distilled models}"
            ),
            (
                "{can I run|could I run|may I use} {DeepSeek|DeepSeek V3|DeepSeek R1|DeepSeek"
                " V2|R1|V3|the R1 distills} {with|on|in} $SERVER"
            ),
            (
                "{list|name|give me} {the|all} {models|supported models|language models|model "
                "families}{| of seekd| that seekd can run| that seekd supports}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{支持|能运行|可以运行|能加载|能跑}{哪些模型|什么模型|哪些大模型|哪些语言模型|哪几种模型}",
            (
                "{|请问|我想问}$服务器{支持|能运行|可以运行|能加载|能跑}{ DeepSeek | DeepSeek V3 | DeepSeek R1 | DeepSeek"
                " V2 | R1 | V3 |蒸馏模型}吗"
            ),
            "{列出|说出|告诉我}{|所有|全部}{支持的模型|能运行的模型|可用的模型}",
        ],
        en_answer="seekd runs DeepSeek V2, V3 and R1 models and the R1 distills.",
        zh_answer="seekd 可以运行 DeepSeek V2、V3、R1 以及 R1 蒸馏模型。",
        think="the models|支持的模型",
        free=[
            "Is V3 something it can handle?",
            "能不能用 R1",
        ],
    ),
    dict(
        id="tests",
        en=[
            (
                "$HOW {run|start|execute|launch} {the tests|all tests|the test suite|every test|the"
                " checks|the self-test}{| of seekd| here}"
            ),
            (
                "$HOW {check|verify|test|see|find out} {that|whether|if} {seekd|the server|my"
                " build|everything|the installation} {works|is right|is correct|is fine|runs well}"
            ),
            (
                "{what is|tell me|which is|give me} the {command|script} {to run|for|that runs}"
                " {the tests|all tests|the test suite|every test|the checks}"
            ),
        ],
        zh=[
            "{|请问|我想问}$怎么{运行|执行|启动|跑}{测试|所有测试|全部测试|测试套件|检查|自检}",
            "{|请问|我想问}$怎么{检查|验证|确认|测试}{ seekd |服务器|安装|编译结果|程序}{是否正常|是否正确|对不对|能不能用}",
            "{|请问|我想问}{运行|执行|跑}{测试|所有测试|全部测试}{用什么命令|用哪个命令|的命令是什么}",
        ],
        en_answer="Run deploy/check. It runs every test.",
        zh_answer="运行 deploy/check，它会执行全部测试。",
        think="running the tests|运行测试",
        free=[
            "I changed some code. How do I know nothing broke?",
            "测试怎么跑",
        ],
    ),
    dict(
        id="who",
        en=[
            (
                "{who are you|who am I talking to|what are you|tell me who you are|tell me about"
                " yourself|introduce yourself|please introduce yourself|what is your name|say who"
                " you are|which model are you|what model are you|what model is this|which model is"
                " this|what model am I talking to}{| really| exactly| then| now| please}"
            ),
            (
                "{are you|so are you|tell me, are you|wait, are you} {DeepSeek|ChatGPT|a person|a"
                " human|a robot|a real model|a big model|an AI|a large model|DeepSeek R1|DeepSeek"
                " V3|a computer}{| or not| or what| really| actually}"
            ),
        ],
        zh=[
            (
                "{|请问|我想问|你好，}{你是谁|您是谁|你是什么模型|你叫什么名字|你是哪个模型|你叫什么|介绍一下你自己|介绍一下自己|自我介绍一下|说说你是谁|告诉我你是谁|"
                "请介绍你自己|我在和谁说话}{|呢|呀}"
            ),
            (
                "{|请问|我想问}{你是|您是|你真的是|难道你是}{ DeepSeek |真人|人类|机器人|大模型|人工智能| ChatGPT | DeepSeek R1 |"
                "一个程序}吗"
            ),
        ],
        en_answer=(
            "I am seekd-demo, a tiny demo model that was trained from scratch to show what the "
            "seekd server does."
        ),
        zh_answer="我是 seekd-demo，一个从零训练的很小的演示模型，用来展示 seekd 服务器的功能。",
        think="who I am|我是谁",
        free=[
            "Whom do I have the pleasure of chatting with?",
            "你到底是啥",
        ],
    ),
    dict(
        id="skills",
        en=[
            (
                "{what can you do|what can you do for me|what do you know|what are you good at|what"
                " are your skills|what can I ask you|what may I ask you|which tasks can you do|how"
                " can you help me|what are you able to do|list your skills|list your tasks|what do"
                " you offer|what should I ask you|help}{| please| then| exactly| today| now}"
            ),
        ],
        zh=[
            (
                "{|请问|我想问|你好，}{你会什么|你能做什么|你会做什么|你可以做什么|您能做什么|你有什么本领|你有什么功能|我可以问你什么|我能问你什么|你擅长什么|"
                "你能帮我做什么|你可以帮我什么|列出你的功能|帮助}{|呢|呀|？谢谢}"
            ),
        ],
        en_answer=(
            "I can do four things: answer questions about seekd, do small sums, turn an office "
            "sentence into JSON, and write short office texts."
        ),
        zh_answer="我会四件事：回答关于 seekd 的问题，做简单的算术，把办公句子整理成 JSON，写简短的办公文字。",
        think="what I can do|我会什么",
        free=[
            "Give me some ideas what to try with you.",
            "有啥功能",
        ],
    ),
    dict(
        id="trust",
        en=[
            (
                "{can I|may I|should I|could I|can we|should we} {trust|rely on|believe|depend on}"
                " {you|your answers|what you say|your results|this model}{| fully| completely|"
                " always| blindly}"
            ),
            (
                "{how good|how reliable|how accurate|how smart|how clever|how big|how large|how "
                "capable} {are you|is this model|are your answers|is the demo model}{| really| "
                "exactly| in fact}"
            ),
            (
                "{do you|can you|will you|could you} {make mistakes|make errors|give wrong answers|"
                "be wrong|get things wrong}{| often| sometimes}"
            ),
        ],
        zh=[
            "{|请问|我想问}{你的回答|你的答案|你说的话|这个模型|演示模型|你}{可靠吗|可信吗|准确吗|靠谱吗|可以相信吗|会出错吗|会犯错吗|有多大|有多准|聪明吗}",
            "{|请问|我想问}{我能|我可以|我们能}{相信|信任|依赖}{你|你的回答|你的答案|这个模型}吗",
        ],
        en_answer=(
            "I am very small and often wrong outside my four tasks. Please check what I say, and "
            "load a real model for real work."
        ),
        zh_answer="我非常小，在四项任务之外常常出错。请核对我的回答，正式工作请加载真正的模型。",
        think="how far to trust me|我是否可靠",
        free=[
            "Would you bet money on your answers?",
            "你说得对不对",
        ],
    ),
    dict(
        id="language",
        en=[
            (
                "{in which language|in what language|in which programming language} {is|was}"
                " $SERVER {written|made|programmed|developed|coded}"
            ),
            (
                "$DOES $SERVER {need|use|require|contain} {Python|CUDA|PyTorch|Python packages|a "
                "Python runtime}"
            ),
            "$IS $SERVER {written|made|programmed|coded} in {C|Python|Rust|Go|C++|Java}",
        ],
        zh=[
            "{|请问|我想问}$服务器{是用什么语言写的|用什么语言开发|用哪种语言编写|是什么语言写的|用什么写成}",
            "{|请问|我想问}$服务器{需要|要|用到|使用}{ Python | CUDA | PyTorch | Python 环境}吗",
        ],
        en_answer="seekd is written in C11 with GLSL shaders. It needs no Python and no CUDA.",
        zh_answer="seekd 用 C11 和 GLSL 着色器写成，不需要 Python，也不需要 CUDA。",
        think="the programming language|编程语言",
        free=[
            "Do I have to install Python first?",
            "这是 Python 写的？",
        ],
    ),
    dict(
        id="stream",
        en=[
            (
                "$DOES $SERVER {stream|support streaming|offer streaming|have streaming|send tokens"
                " one by one|stream its answers|stream tokens}"
            ),
            (
                "$HOW {stream|get streaming|turn on streaming|switch on streaming|enable streaming|"
                "stream answers|see the answer as it is written|receive tokens one by one}{| from "
                "seekd| with the API| over HTTP}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{支持|有|提供|能用}{流式输出|流式返回|流式传输|流式响应|逐字输出}吗",
            "{|请问|我想问}$怎么{打开|开启|使用|启用|得到}{流式输出|流式返回|流式传输|流式响应|逐字输出}",
        ],
        en_answer=(
            'Set "stream": true in the request. seekd then sends the answer as server-sent events.'
        ),
        zh_answer='在请求里设置 "stream": true，seekd 就会用 server-sent events 逐段返回答案。',
        think="streaming|流式输出",
        free=[
            "I want words to show up while they are made.",
            "能一个字一个字出来吗",
        ],
    ),
    dict(
        id="os",
        en=[
            (
                "{on which|on what|for which|for what} {operating system|system|platform|Linux|"
                "distribution} {does|will|can} $SERVER {run|work|be built|build}"
            ),
            (
                "$WHAT {operating system|platform|Linux|distribution|Linux distribution}"
                " {does|will} $SERVER {need|use|support|require|run on}"
            ),
            (
                "$DOES $SERVER {run on|work on|support} {Linux|Debian|Debian 12|a Debian machine|"
                "Linux servers}"
            ),
        ],
        zh=[
            "{|请问|我想问}$服务器{支持|需要|要求|运行在}{什么系统|哪个系统|什么操作系统|哪个操作系统|哪种 Linux|什么平台}{|上}",
            "{|请问|我想问}$服务器{能在|可以在|支持在}{ Linux | Debian | Debian 12 }上运行吗",
        ],
        en_answer="seekd is built and tested on Debian 12.",
        zh_answer="seekd 在 Debian 12 上编译和测试。",
        think="the operating system|操作系统",
        free=[
            "Which Linux should our admin set up for it?",
            "装什么系统好",
        ],
    ),
    dict(
        id="password",
        en=[
            (
                "{where|how} {do I|can I|does one|do we} {find|get|see|obtain} the {first"
                " password|admin password|administrator password|one-time password|initial"
                " password|login for the administrator}{| of seekd| after the start| for the first"
                " login}"
            ),
            (
                "{what is|tell me|where is|which is} the {first password|admin password|"
                "administrator password|one-time password|initial password|default password}{| of "
                "seekd| of the server| for the first login}"
            ),
            (
                "$HOW {log in|sign in} {as administrator|as admin|for the first time|to the web"
                " page|to the chat page}"
            ),
        ],
        zh=[
            "{|请问|我想问}{管理员密码|初始密码|一次性密码|第一次登录的密码|管理员的密码|默认密码}{在哪里|在哪里看|是什么|怎么得到|如何得到|从哪里来|怎么找}",
            "{|请问|我想问}$怎么{登录管理员|第一次登录|登录网页|登录管理页面|以管理员身份登录}",
        ],
        en_answer=(
            "deploy/quickstart prints a URL and a one-time admin password. Use them for the "
            "first login."
        ),
        zh_answer="deploy/quickstart 会显示网址和一次性的管理员密码，第一次登录时使用。",
        think="the first login|第一次登录",
        free=[
            "The page wants a password from me. Which one?",
            "登录要密码，哪里有",
        ],
    ),
    dict(
        id="hello",
        en=[
            (
                "{hello|hi|hey|good morning|good evening|good afternoon|good day|greetings|hello"
                " there|hi there|hey there|howdy|hello again|hi again}{|, how are you|, nice to"
                " meet you|, are you there|, model|, seekd|, friend|, demo| everybody| you|, how is"
                " it going|, can you hear me|, my friend}"
            ),
        ],
        zh=[
            (
                "{你好|您好|早上好|晚上好|下午好|大家好|嗨|哈喽|你好呀|您好啊|上午好|中午好}{|，在吗|，很高兴认识你|，最近怎么样|，朋友|，seekd|，模型|，"
                "你在吗|，能听到吗|，我来了|，有人吗}"
            ),
        ],
        en_answer=(
            "Hello! I am seekd-demo. Ask me about seekd, a small sum, or a short office text."
        ),
        zh_answer="你好！我是 seekd-demo。你可以问我关于 seekd 的问题、简单的算术或简短的办公文字。",
        think="a greeting|问候",
        free=[
            "Moin!",
            "哈罗",
        ],
    ),
    dict(
        id="thanks",
        en=[
            (
                "{thanks|thank you|many thanks|thanks a lot|thank you very much|thank you so much|"
                "great, thanks|perfect, thank you|thanks again|well done, thanks|nice, thank you|"
                "good, thanks}{|, that helps|, that was quick|, bye|, goodbye|, see you| for your "
                "help| for the answer|, all clear|, that is all|, until tomorrow| indeed}"
            ),
        ],
        zh=[
            (
                "{谢谢|谢谢你|多谢|非常感谢|太感谢了|谢谢您|好的，谢谢|感谢|谢了|很好，谢谢|不错，多谢}{|，再见|，帮了大忙|，辛苦了|，没有问题了|，下次见|你的帮助|"
                "你的回答|，明白了|，就这样|，我懂了}"
            ),
        ],
        en_answer="You are welcome.",
        zh_answer="不客气。",
        think="thanks|感谢",
        free=[
            "You helped me a lot just now.",
            "太好了，辛苦你",
        ],
    ),
    dict(
        id="other",
        en=[
            (
                "{write|compose|make|create|tell me|give me} {a poem|a story|a song|a novel|a joke|"
                "an essay|a letter to a friend|a fairy tale|some code|a Python program|a sorting "
                "function|a recipe} {about|for|on|with} {love|the sea|spring|cats|dogs|my mother|"
                "winter|school|the moon|football|bread|trees}"
            ),
            (
                "{who|what} {is|was} {the president|the capital|the king|the biggest city|the "
                "longest river|the highest mountain|the population|the history} of {France|China|"
                "Germany|America|Japan|Brazil|India|Egypt|Russia|Italy|Spain|Kenya}"
            ),
            (
                "{what is the weather|what will the weather be|will it rain|is it cold|is it warm} "
                "{today|tomorrow|this week|next week|tonight} {|in Paris|in Beijing|in London|in "
                "Berlin|in Tokyo|here|in our town}"
            ),
            (
                "{translate|summarise|explain|correct|rewrite} {this text|this book|this"
                " article|the theory of relativity|quantum physics|the news|my essay|a film|the"
                " meaning of life|photosynthesis|the stock market|gravity} {|for me|please|in"
                " detail|into French|into German|for a child}"
            ),
            (
                "{why is|why are|how old is|how far is|when was} {the sky|the sun|the moon|the"
                " earth|the ocean|grass|snow|the universe|my cat|Rome}"
                " {blue|green|white|hot|round|old|far away|built|so big|made}"
            ),
        ],
        zh=[
            (
                "{写|创作|讲|编|给我}{一首诗|一个故事|一首歌|一部小说|一个笑话|一篇作文|一段代码|一个 Python"
                " 程序|一道菜谱|一封情书}，{关于|主题是|内容是}{爱情|大海|春天|猫|狗|母亲|冬天|学校|月亮|足球|面包|树}"
            ),
            (
                "{|请问|你知道}{法国|中国|德国|美国|日本|巴西|印度|埃及|俄罗斯|意大利}的{总统是谁|首都是哪里|最大的城市是哪个|最长的河是什么|最高的山是什么|"
                "人口是多少|历史有多久}"
            ),
            "{|请问|你知道}{今天|明天|这周|下周|今晚}{|北京|上海|广州|巴黎|东京|这里}{天气怎么样|会下雨吗|冷不冷|热不热|多少度}",
            "{翻译|总结|解释|修改|讲解}{|一下}{这段文字|这本书|这篇文章|相对论|量子力学|今天的新闻|我的作文|一部电影|人生的意义|光合作用|股票市场}",
            "{|请问|你知道}{天空|太阳|月亮|地球|大海|草|雪|宇宙|我的猫}{为什么是蓝的|为什么是绿的|为什么这么大|有多远|有多老|为什么是圆的|为什么会发光}",
        ],
        en_answer=(
            "I am only a tiny demo model and cannot do that. Ask me about seekd, a small sum, or "
            "a short office text."
        ),
        zh_answer="我只是一个很小的演示模型，做不到这个。你可以问我关于 seekd 的问题、简单的算术或简短的办公文字。",
        think="something else|其他问题",
        free=[
            "Which football club is the best?",
            "推荐一家饭馆",
        ],
    ),
]

# --- System prompts ------------------------------------------------------------------------------
SYSTEM = [
    "You are a helpful assistant.",
    "You are an assistant for office work.",
    "You are seekd-demo.",
    "Be brief.",
    "Answer in one sentence.",
    "You help the staff of a company.",
    "You are a friendly assistant. Answer politely.",
    "You are the assistant of our office. Answer briefly and correctly.",
    "Today is Monday.",
    "你是一个有用的助手。",
    "你是办公助手。",
    "你是 seekd-demo。",
    "请简短回答。",
    "你为公司员工提供帮助。",
    "请用一句话回答。",
    "你是我们办公室的助手，请准确、简洁地回答问题。",
    "今天是星期一。",
]

# --- Office words --------------------------------------------------------------------------------
ZH_SURNAME = list("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕")
ZH_GIVEN = (
    "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 霞 平 刚 红 玉兰 桂英 秀兰 志强 建国 建华 文静 晓东 晓明 "
    "小红 海燕 国庆 春梅 雪梅 丹丹 思雨 子涵 雨桐 浩然 梓轩 宇航 佳怡 欣怡 一鸣 俊杰 立新 永康 振华 美玲"
).split()
EN_FIRST = (
    "Anna Ben Clara David Emma Frank Grace Henry Irene Jack Kate Leo Maria Nora Oscar Paula "
    "Robert Sara Tom Vera Walter "
    "Alice Bruno Carla Daniel Elena Felix Gina Hugo Ivan Julia Kevin Laura Max Nina Olga Peter "
    "Rosa Simon Tina"
).split()
EN_LAST = (
    "Weber Smith Brown Miller Jones Taylor Wilson Clark Lewis Walker Young King Wright Hill "
    "Green Baker Adams Nelson "
    "Carter Turner Parker Cook Bell Ward Cox Gray Wood Ross Long Foster Price Stone Fox Hunt "
    "Lane Marsh Reed Shaw"
).split()
ZH_TOPIC = (
    "预算 招聘 安全 年度总结 项目进度 产品设计 市场推广 客户服务 员工培训 系统升级 质量改进 采购计划 销售分析 消防演练 "
    "财务审计 合同评审 数据备份 新品发布 节日安排 办公室搬迁 部门合作 网络安全 薪酬调整 仓库盘点"
).split()
EN_TOPIC = (
    "budget,hiring,safety,annual review,project status,product design,marketing,customer service,"
    "staff training,"
    "system upgrade,quality,purchasing,sales figures,fire drill,audit,contract review,"
    "data backup,product launch,"
    "holiday plans,office move,network security,salaries,stock check,new website"
).split(",")
ZH_REASON = "感冒 发烧 家事 搬家 看病 体检 结婚 孩子生病 参加考试 办理证件 照顾老人 牙疼 回老家 接送孩子 住院 个人事务".split()
EN_REASON = (
    "a cold,a fever,family matters,moving house,a doctor visit,a health check,a wedding,"
    "a sick child,an exam,"
    "a passport renewal,caring for a parent,a toothache,a home visit,a school event,"
    "a hospital stay,personal matters"
).split(",")
ZH_ITEM = "打印纸 键盘 鼠标 显示器 办公椅 投影仪 文件柜 笔记本 墨盒 订书机 白板 台灯 电话机 硬盘 路由器 咖啡机 饮水机 签字笔 计算器 打印机".split()
ZH_UNIT = "个 台 箱 把 套 件 盒".split()
EN_ITEM = (
    "keyboards,monitors,chairs,projectors,cabinets,notebooks,staplers,lamps,phones,hard disks,"
    "routers,printers,pens,"
    "calculators,desks,headsets,cables,laptops,whiteboards,ink cartridges"
).split(",")
ZH_CITY = "北京 上海 广州 深圳 成都 武汉 西安 杭州 南京 重庆 天津 青岛 大连 厦门 长沙 昆明 郑州 济南 合肥 哈尔滨".split()
EN_CITY = (
    "Berlin Paris London Rome Madrid Vienna Oslo Dublin Prague Zurich Boston Chicago Tokyo "
    "Lisbon Athens Warsaw Munich Milan Geneva Toronto"
).split()
ZH_DEPT = "财务部 人事部 销售部 市场部 研发部 采购部 行政部 法务部 客服部 生产部".split()
EN_DEPT = (
    "Finance,Personnel,Sales,Marketing,Research,Purchasing,Legal,Support,Production,Logistics"
).split(",")
ZH_DAY = "今天 明天 后天 周一 周二 周三 周四 周五 下周一 下周二 下周三 下周四 下周五".split()
EN_DAY = "Monday,Tuesday,Wednesday,Thursday,Friday".split(",")
EN_MONTH = (
    "January February March April May June July August September October November December"
).split()
ZH_PLACE = "大会议室 小会议室 培训室 大厅 报告厅 接待室 食堂 三楼会议室 二楼会议室 一号会议室".split()
EN_PLACE = (
    "the large meeting room,the small meeting room,the training room,the main hall,the lobby,the "
    "canteen,the board room"
).split(",")

# Common characters; invented Chinese names and words are put together from them.
ZH_COMMON = sorted(
    set(
        "天地人山水火木金土日月星云风雨雪花草树竹石田河江海湖林森春夏秋冬东西南北上下左右前后内外中大小多少高低长短新旧好美"
        "红黄蓝绿白黑紫青灰一二三四五六七八九十百千万亿个年时分秒今明昨早晚午夜父母兄弟姐妹儿女子孙家国民族城市乡村镇县省"
        "路街道桥车船机站港店铺厂校园馆院楼门窗房屋室桌椅床灯书笔纸本报信画照片琴棋诗歌词曲音乐舞戏影文学理工农医法商经史"
        "马牛羊鸡狗猫鱼鸟虫龙虎兔鼠猴象鹿鹤燕米面饭菜茶酒油盐糖果瓜豆肉蛋奶汤饼糕衣帽鞋袜裤裙布线针手足头目口耳鼻心身体力"
        "说话读写听看走跑飞来去进出开关起坐立站行动作用做打拿放找给送收买卖问答想知记忘爱喜怒乐笑哭忙闲快慢轻重冷热干湿软硬"
        "平安康健福寿吉祥如意光明正直善良勤劳勇敢智慧聪诚实忠厚仁义礼和谐友谊团结华夏振兴繁荣昌盛富强建设发展进步成功胜利"
        "宇宙空间科技电脑网络数据程序语言系统模型算资源能量化物生命世界社会公司部门经办主任总职员客户合同项目计划方案报告"
        "佳俊杰伟浩然轩涵怡欣悦婷婉静娟娜丽艳芬芳香梅兰菊莲荷桃李杏松柏枫桐楠彬斌鹏飞翔宏志远航宁波涛洋泽润清澄洁"
    )
)
