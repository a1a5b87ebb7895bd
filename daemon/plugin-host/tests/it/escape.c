/* A plugin that tries what it must not: each call of EnsureNetwork does all of it and responds with an error whose
 * message shows how each attempt ended. What it may do is tried as well, so that the test can't pass by refusing all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "landlord_provider.h"

static char told[8192];

static void tell(const char *what, int failed, int why) {
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s=%s;", what, failed ? strerrorname_np(why) : "done");
}

/* In two statements: C leaves open whether errno is read before or after the call beside it. */
#define TRY(what, fails)                                                                                               \
    do {                                                                                                               \
        int failed = (fails);                                                                                          \
        tell(what, failed, errno);                                                                                     \
    } while (0)

static void try_open(const char *what, const char *path, int flags) {
    int fd = open(path, flags, 0600);
    tell(what, fd < 0, errno);
    if (fd >= 0) {
        close(fd);
    }
}

static void try_exec(void) {
    pid_t child = fork();
    if (child == 0) {
        char *none[] = {"true", NULL};
        execve("/bin/true", none, NULL);
        _exit(errno);
    }
    int status = 0;
    waitpid(child, &status, 0);
    tell("exec", WEXITSTATUS(status) != 0, WEXITSTATUS(status));
}

static void try_listen(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    TRY("listen", bind(fd, (struct sockaddr *)&any, sizeof any) != 0);
    close(fd);
}

/* The port is allowed or not; whether somebody listens there is another matter. */
static void try_connect(const char *what, uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    TRY(what, connect(fd, (struct sockaddr *)&there, sizeof there) != 0);
    close(fd);
}

static void try_everything(void) {
    told[0] = 0;
    char path[512];
    try_open("read-password-file", "/etc/passwd", O_RDONLY);
    try_open("read-proc-of-parent", "/proc/1/environ", O_RDONLY);
    snprintf(path, sizeof path, "%s/secret", FOLDER);
    try_open("read-secret", path, O_RDONLY);
    snprintf(path, sizeof path, "%s/new", FOLDER);
    try_open("write", path, O_WRONLY | O_CREAT);
    snprintf(path, sizeof path, "%s/granted/new", FOLDER);
    try_open("write-granted", path, O_WRONLY | O_CREAT);
    snprintf(path, sizeof path, "%s/token", FOLDER);
    try_open("read-granted", path, O_RDONLY);
    try_open("write-read-only", path, O_WRONLY);
    try_open("resolver", "/etc/resolv.conf", O_RDONLY);
    try_exec();
    try_listen();
    try_connect("connect", OPEN_PORT);
    try_connect("connect-granted", GRANTED_PORT);
    TRY("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
    TRY("mount", mount("none", "/mnt", "tmpfs", 0, NULL) != 0);
    TRY("namespace", unshare(CLONE_NEWUSER) != 0);
    TRY("bpf", syscall(SYS_bpf, BPF_PROG_LOAD, NULL, 0) != 0);
    TRY("keyring", syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0);
    TRY("kill-parent", kill(getppid(), 0) != 0);
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    tell("core-dump", core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0, EPERM);
}

static void free_bytes(uint8_t *ptr, size_t len, size_t capacity) {
    (void)len;
    (void)capacity;
    free(ptr);
}

static void *create(const landlord_host_table *host) {
    (void)host;
    static int instance;
    return &instance;
}

static void call(void *instance, uint32_t method, uint64_t call_id, uint64_t deadline_ms, landlord_slice request,
                 void *context, landlord_completion done) {
    (void)instance;
    (void)call_id;
    (void)deadline_ms;
    (void)request;
    landlord_buffer payload = {NULL, 0, 0, free_bytes};
    if (method == LANDLORD_METHOD_DESCRIBE || method == LANDLORD_METHOD_CONFIGURE) {
        done(context, LANDLORD_STATUS_OK, payload);
        return;
    }
    try_everything();
    /* landlord.provider.v1.Error: kind INVALID, message with its length as a varint of two bytes. */
    size_t len = strlen(told);
    uint8_t *bytes = malloc(len + 5);
    bytes[0] = 0x08;
    bytes[1] = 4;
    bytes[2] = 0x12;
    bytes[3] = (uint8_t)(0x80 | (len & 0x7f));
    bytes[4] = (uint8_t)(len >> 7);
    memcpy(bytes + 5, told, len);
    payload.ptr = bytes;
    payload.len = payload.capacity = len + 5;
    done(context, LANDLORD_STATUS_ERROR, payload);
}

static void cancel(void *instance, uint64_t call_id) {
    (void)instance;
    (void)call_id;
}

static void destroy(void *instance) { (void)instance; }

static const landlord_plugin_table table = {
    LANDLORD_MAGIC, LANDLORD_ABI_MAJOR, LANDLORD_ABI_MINOR, sizeof table, create, call, cancel, destroy,
};

const landlord_plugin_table *landlord_plugin(void) { return &table; }
