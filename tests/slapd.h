/* A real slapd for tests, in a folder of its own below the working directory, on free loopback ports,
 * filled by ldapadd. People: l.wei ("blue horse 7"; groups line3 and 编辑), m.chen ("c-secret";
 * line3), m.zhao ("m-secret"; no group), and odd ones, see slapd.c. It dies with the program.
 */
#ifndef SEEKD_TESTS_SLAPD_H
#define SEEKD_TESTS_SLAPD_H

#include <stdbool.h>
#include <sys/types.h>

#define SLAPD_BASE "dc=plant,dc=example"
#define SLAPD_PEOPLE "ou=people," SLAPD_BASE
#define SLAPD_GROUPS "ou=groups," SLAPD_BASE
#define SLAPD_SERVICE "cn=seekd," SLAPD_BASE

struct slapd {
    char folder[32];
    char plain_url[64], tls_url[64];
    char wrong_host_url[64]; /* reachable, but not in the certificate */
    char ca_file[64], other_ca_file[64];
    pid_t pid;
};

/* False when slapd or ldapadd are not installed (also looked for in /usr/sbin and /sbin). */
bool slapd_is_installed(void);
/* Whatever fails fails the test. */
void slapd_start(struct slapd *d);
void slapd_stop(struct slapd *d);
/* A socket that listens on a free port; nobody accepts what arrives. */
int slapd_listen_free(unsigned *port);

#endif
