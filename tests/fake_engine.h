/* A deterministic engine for tests of the server: implements engine.h without a model or a device.
 * Linked instead of libengine.
 *
 * Vocabulary: token ids 0..255 are single bytes; then <bos> <eos> <think> </think> <|user|>
 * <|assistant|> <|system|> <|end|>. Tokenising merges nothing.
 *
 * What a request does is written in its prompt, between '#' signs:
 *   #reply=TEXT#    tokens to give, one per character of TEXT; \n, <think>, </think> work
 *   #tokens=N#      give N tokens "x " instead (an endless source for max_tokens)
 *   #us=N#          wait so many microseconds per token
 *   #queue_ms=N#    time before the first step
 *   #prefill_ms=N#  time of the prefill
 *   #fail=N#        after N tokens the sequence fails with ERR_DEVICE
 *   #busy#          submit fails with ERR_BUSY
 * Without #reply or #tokens the answer is "Hello, world!".
 */
#ifndef SEEKD_TESTS_FAKE_ENGINE_H
#define SEEKD_TESTS_FAKE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

struct engine *fake_engine_open(uint32_t max_context);
void fake_engine_close(struct engine **eng);

/* Faults of the whole engine: steps stop (health: stalled), or the device is lost. */
void fake_engine_freeze(struct engine *eng, bool frozen);
/* The last step seems to have ended `us` earlier than it did. */
void fake_engine_age(struct engine *eng, uint64_t us);
void fake_engine_lose_device(struct engine *eng);
/* From now on nothing happens any more, not even cancelling; closing still works. */
void fake_engine_die(struct engine *eng);

/* Streams not yet released, and of those the ones still working. */
uint32_t fake_engine_streams(const struct engine *eng);
uint32_t fake_engine_active(const struct engine *eng);
/* Of the request submitted last. */
uint32_t fake_engine_weight(const struct engine *eng);

/* Chat template of the fake model; `thinking`: it ends the prompt with <think>. */
void fake_engine_set_thinking(struct engine *eng, bool thinking);

#endif
