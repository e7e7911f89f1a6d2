/* One HTTP request and its answer, from the request line to the last byte.
 *
 * Phases, what is true in each, and who may touch the exchange:
 *   HEAD       the request line was read; microhttpd thread
 *   BODY       the head was accepted, the body is being collected; microhttpd thread
 *   WORKING    connection suspended, a worker runs the handler and owns everything but `gate`;
 *              only the worker wakes
 *   READY      the handler is done, `answer` is filled; microhttpd thread
 *   WHOLE      a generation runs, its answer is sent as a whole at the end; microhttpd thread reads,
 *              the watch thread may cancel
 *   STREAMING  a generation runs and is sent as it comes; as WHOLE
 *   ANSWERED   the reply is with microhttpd
 * Transitions: on_request (HEAD -> BODY -> WORKING, or -> ANSWERED), run_handler (WORKING -> READY),
 * on_request again (READY -> WHOLE, STREAMING or ANSWERED; WHOLE -> ANSWERED).
 */
#ifndef SEEKD_HTTP_EXCHANGE_H
#define SEEKD_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <stdint.h>

struct exchange;
struct http_server;

/* The three callbacks of microhttpd that make up a request's life; `cls` is the http_server. */
void *exchange_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_len, void **request);
void exchange_on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                           enum MHD_RequestTerminationCode why);

/* From the watch thread, see watch.h. */
void exchange_hangup(struct exchange *x);
void exchange_tick(struct exchange *x, uint64_t now_us);
/* At the end of the server: cancel the generation; end it whatever the engine does. */
void exchange_cancel(struct exchange *x);
void exchange_force(struct exchange *x);

#endif
