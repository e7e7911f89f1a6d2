/* Owns: the directory that tests log in at. Refuses to know: the code under test. */
#include <config.h>

#include "slapd.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "issuer_keys.h"

static void write_file(const struct slapd *d, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", d->folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static const char config_text[] =
    "include /etc/ldap/schema/core.schema\n"
    "include /etc/ldap/schema/cosine.schema\n"
    "include /etc/ldap/schema/inetorgperson.schema\n"
    "modulepath /usr/lib/ldap\n"
    "moduleload back_mdb\n"
    "moduleload memberof\n"
    /* what a careless administrator allows: an empty password binds as nobody, with success */
    "allow bind_anon_dn\n"
    "TLSCACertificateFile ca.pem\n"
    "TLSCertificateFile cert.pem\n"
    "TLSCertificateKeyFile key.pem\n"
    "database mdb\n"
    "suffix " SLAPD_BASE "\n"
    "rootdn cn=root," SLAPD_BASE "\n"
    "rootpw root-secret\n"
    "directory db\n"
    "maxsize 16777216\n"
    "overlay memberof\n"
    "access to attrs=userPassword by anonymous auth by * none\n"
    "access to dn.subtree=\"ou=sealed," SLAPD_BASE "\" by dn.exact=\"" SLAPD_SERVICE
    "\" tls_ssf=128 read by * none\n"
    "access to * by dn.exact=\"" SLAPD_SERVICE "\" read by * none\n";

#define PERSON(ou, uid, cn, mail, password)                                                        \
    "dn: uid=" uid "," ou SLAPD_BASE "\nobjectClass: inetOrgPerson\nuid: " uid                     \
    "\nsn: x\ncn: " cn "\nmail: " mail "\n" password "\n"
static const char entries_text[] =
    "dn: " SLAPD_BASE "\nobjectClass: dcObject\nobjectClass: organization\no: Plant\ndc: plant\n\n"
    "dn: ou=people," SLAPD_BASE "\nobjectClass: organizationalUnit\nou: people\n\n"
    "dn: ou=sealed," SLAPD_BASE "\nobjectClass: organizationalUnit\nou: sealed\n\n"
    "dn: ou=groups," SLAPD_BASE "\nobjectClass: organizationalUnit\nou: groups\n\n"
    "dn: " SLAPD_SERVICE "\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\n"
    "cn: seekd\nuserPassword: service-secret\n\n"
    PERSON("ou=people,", "l.wei", "Lin Wei \u6797\u7ef4", "l.wei@plant.example",
           "userPassword: blue horse 7\n")
    PERSON("ou=people,", "m.zhao", "Zhao Min", "shared@plant.example", "userPassword: m-secret\n")
    PERSON("ou=people,", "m.chen", "Chen Mo", "shared@plant.example", "userPassword: c-secret\n")
    PERSON("ou=people,", "nopassword", "No Password", "no@plant.example", "")
    PERSON("ou=sealed,", "s.wu", "Wu Sealed", "wu@plant.example", "userPassword: s-secret\n")
    "dn: cn=odd," SLAPD_PEOPLE "\nobjectClass: inetOrgPerson\nuid: a*b(c)\\d\nsn: x\ncn: odd\n"
    "userPassword: odd-secret\n\n"
    "dn: cn=control," SLAPD_PEOPLE "\nobjectClass: inetOrgPerson\nuid: control\nuid:: YQpi\nsn: x\n"
    "cn: control\nemployeeType: control\nuserPassword: control-secret\n\n"
    "dn: ou=elsewhere," SLAPD_BASE "\nobjectClass: referral\nobjectClass: extensibleObject\n"
    "ou: elsewhere\nref: ldap://127.0.0.1:1/ou=elsewhere," SLAPD_BASE "\n\n"
    "dn: cn=line3," SLAPD_GROUPS "\nobjectClass: groupOfNames\ncn: line3\n"
    "member: uid=l.wei," SLAPD_PEOPLE "\nmember: uid=m.chen," SLAPD_PEOPLE "\n\n"
    "dn: cn=\u7f16\u8f91," SLAPD_GROUPS "\nobjectClass: groupOfNames\ncn: \u7f16\u8f91\n"
    "member: uid=l.wei," SLAPD_PEOPLE "\n\n"
    "dn: cn=lab," SLAPD_GROUPS "\nobjectClass: groupOfNames\ncn: lab\nmember: cn=odd," SLAPD_PEOPLE
    "\n";

int slapd_listen_free(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static pid_t spawn(const char *const *argv)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout))
        _exit(127);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Its exit status, -1 when there is none. */
static int wait_for(pid_t pid)
{
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : -1;
}

static bool is_up(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return up;
}

static void make_files(struct slapd *d)
{
    char path[64];
    struct issuer_tls tls, other;
    snprintf(d->folder, sizeof d->folder, "slapd.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d->folder));
    snprintf(path, sizeof path, "%s/db", d->folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    issuer_tls_init(&tls, ISSUER_LOOPBACK);
    issuer_tls_init(&other, ISSUER_LOOPBACK);
    write_file(d, "slapd.conf", config_text);
    write_file(d, "entries.ldif", entries_text);
    write_file(d, "ca.pem", tls.ca);
    write_file(d, "cert.pem", tls.cert);
    write_file(d, "key.pem", tls.key);
    write_file(d, "other.pem", other.ca);
    issuer_tls_release(&tls);
    issuer_tls_release(&other);
    snprintf(d->ca_file, sizeof d->ca_file, "%s/ca.pem", d->folder);
    snprintf(d->other_ca_file, sizeof d->other_ca_file, "%s/other.pem", d->folder);
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", path, d->d_name);
        if (d->d_name[0] != '.')
            unlink(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void slapd_stop(struct slapd *d)
{
    char path[64];
    kill(d->pid, SIGTERM);
    wait_for(d->pid);
    snprintf(path, sizeof path, "%s/db", d->folder);
    remove_files(path);
    remove_files(d->folder);
}

void slapd_start(struct slapd *d)
{
    unsigned plain_port, tls_port;
    char urls[256], conf[64], entries[64];
    make_files(d);
    int a = slapd_listen_free(&plain_port), b = slapd_listen_free(&tls_port);
    close(a);
    close(b);
    snprintf(d->plain_url, sizeof d->plain_url, "ldap://127.0.0.1:%u", plain_port);
    snprintf(d->tls_url, sizeof d->tls_url, "ldaps://127.0.0.1:%u", tls_port);
    snprintf(d->wrong_host_url, sizeof d->wrong_host_url, "ldaps://127.0.0.2:%u", tls_port);
    snprintf(urls, sizeof urls, "%s %s %s", d->plain_url, d->tls_url, d->wrong_host_url);
    snprintf(conf, sizeof conf, "slapd.conf");
    snprintf(entries, sizeof entries, "%s/entries.ldif", d->folder);
    d->pid = fork();
    ck_assert_int_ge(d->pid, 0);
    if (d->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(d->folder) == 0)
            execlp("slapd", "slapd", "-f", conf, "-h", urls, "-d", "0", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && !is_up(plain_port); i++)
        usleep(50000);
    ck_assert_msg(is_up(plain_port), "slapd does not start");
    const char *const add[] = {"ldapadd",       "-x", "-M",          "-H", d->plain_url, "-D",
                               "cn=root," SLAPD_BASE, "-w", "root-secret", "-f", entries,   NULL};
    int rc = wait_for(spawn(add));
    if (rc != 0)
        slapd_stop(d);
    ck_assert_int_eq(rc, 0);
}

static bool is_installed(const char *program)
{
    return wait_for(spawn((const char *const[]){"sh", "-c", "command -v \"$0\" >/dev/null", program,
                                                NULL})) == 0;
}

bool slapd_is_installed(void)
{
    char path[4096];
    const char *own = getenv("PATH");
    snprintf(path, sizeof path, "%s:/usr/sbin:/sbin", own ? own : "/usr/bin:/bin");
    setenv("PATH", path, 1);
    return is_installed("slapd") && is_installed("ldapadd");
}
