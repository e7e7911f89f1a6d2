// Measures llama.cpp (through the npm package node-llama-cpp) on one GGUF file, for comparison with
// `seekctl bench`: the prefill rate of one prompt and the decode rate of one stream.
//
//     node peer_llama.mjs --model FILE.gguf [--device vulkan|cpu] [--prompt 128] [--gen 32]
//                         [--repeat 2] [--flash auto|on|off] [--threads N]
//
// Prints CSV: rates and time to first token (best of the repeats; one unmeasured run comes first so
// that shader compilation does not count), and the processor seconds of both phases, which remain
// comparable when the machine is busy with other things.
// The package is looked up from the working directory, where run_peer.sh installs it.
// llama.cpp's Vulkan backend ignores software drivers unless GGML_VK_VISIBLE_DEVICES names one.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: opt } = parseArgs({
    options: {
        model: { type: "string" },
        device: { type: "string", default: "vulkan" },
        prompt: { type: "string", default: "128" },
        gen: { type: "string", default: "32" },
        repeat: { type: "string", default: "2" },
        flash: { type: "string", default: "auto" },
        threads: { type: "string", default: "0" },
    },
});
if (!opt.model) {
    console.error("peer_llama: --model FILE.gguf is required");
    process.exit(2);
}
const nPrompt = Number(opt.prompt);
const nGen = Number(opt.gen);

const root = createRequire(path.join(process.cwd(), "package.json"));
const manifest = path.join(path.dirname(root.resolve("node-llama-cpp")), "..", "package.json");
const { getLlama } = await import(pathToFileURL(root.resolve("node-llama-cpp")).href);

const onGpu = opt.device === "vulkan";
const llama = await getLlama({
    gpu: onGpu ? "vulkan" : false,
    build: "never",
    skipDownload: true,
    logLevel: process.env.PEER_VERBOSE ? "debug" : "error",
    vramPadding: 0,
});
const deviceNames = onGpu ? await llama.getGpuDeviceNames() : ["cpu"];
if (onGpu && deviceNames.length === 0) {
    console.error("peer_llama: llama.cpp sees no Vulkan device; set GGML_VK_VISIBLE_DEVICES=0");
    process.exit(1);
}
const model = await llama.loadModel({
    modelPath: path.resolve(opt.model),
    gpuLayers: onGpu ? "max" : 0,
    ignoreMemorySafetyChecks: true,
});
const context = await model.createContext({
    contextSize: nPrompt + nGen + 64,
    batchSize: 512,
    threads: Number(opt.threads) || undefined,
    flashAttention: { auto: "auto", on: true, off: false }[opt.flash],
    ignoreMemorySafetyChecks: true,
});
const sequence = context.getSequence();

// The same token ids as `seekctl bench` feeds: any valid ids do, but never an end token.
function promptTokens(count) {
    const ids = [];
    for (let i = 0; i < count; i++)
        ids.push(100 + ((i * 37) % 400));
    return ids;
}

function cpuSeconds() {
    const used = process.cpuUsage();
    return (used.user + used.system) / 1e6;
}

async function measure() {
    await sequence.clearHistory();
    const start = performance.now();
    const startCpu = cpuSeconds();
    let firstCpu = 0;
    let first = 0;
    let last = 0;
    let count = 0;
    for await (const token of sequence.evaluate(promptTokens(nPrompt),
        { temperature: 0, yieldEogTokens: true })) {
        last = performance.now();
        if (count === 0) {
            first = last;
            firstCpu = cpuSeconds();
        }
        if (++count === nGen + 1 || token === undefined)
            break;
    }
    return {
        ttft: first - start,
        prefill: nPrompt / ((first - start) / 1000),
        decode: (count - 1) / ((last - first) / 1000),
        prefillCpu: firstCpu - startCpu,
        decodeCpu: cpuSeconds() - firstCpu,
    };
}

await measure();
const runs = [];
for (let i = 0; i < Number(opt.repeat); i++)
    runs.push(await measure());
const best = (key, pick) => pick(...runs.map((run) => run[key]));
const version = JSON.parse(readFileSync(manifest, "utf8")).version;
console.log("peer,version,device,prompt,gen,prefill_tok_s,decode_tok_s,ttft_ms,"
    + "prefill_cpu_s,decode_cpu_s");
console.log(["node-llama-cpp", version, `"${deviceNames.join("+")}"`, nPrompt, nGen,
    best("prefill", Math.max).toFixed(2), best("decode", Math.max).toFixed(2),
    best("ttft", Math.min).toFixed(1), best("prefillCpu", Math.min).toFixed(2),
    best("decodeCpu", Math.min).toFixed(2)].join(","));
await llama.dispose();
process.exit(0);
