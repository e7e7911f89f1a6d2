/* Owns the one line that the daily head becomes in syslog. Apart from audit.c because <syslog.h> and
 * base/log.h share names. */
#include <config.h>

#include "audit/audit.h"

#include <syslog.h>

void audit_say_syslog(void *ctx, const char *text)
{
    (void)ctx;
    syslog(LOG_AUTHPRIV | LOG_NOTICE, "seekd audit head %s", text);
}
