/* A disk that delays, fails or is full when a file says so: preloaded below a server.
 *
 * $FAULTY_DISK names the file. Each of its lines is a rule of three words:
 *
 *     sync .db-wal 2000      an fsync of a file whose name ends so takes 2000 ms longer
 *     sync .db-wal hold      it takes until there is no such rule any more
 *     sync .db-wal EIO       it fails, and so it does with ENOSPC
 *     write .db-wal ENOSPC   a write fails; or EDQUOT: the user's quota is used up
 *     free - 1048576         so many bytes are free on every disk
 *
 * The first rule that fits counts. The file is replaced, not written to, so it is always whole.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Find a rule; return whether there is one, and its last word. */
static int find_rule(const char *call, int fd, char value[32]) {
    const char *rules = getenv("FAULTY_DISK");
    char link[64], path[4096] = "", kind[32], end[64];
    int saved = errno, found = 0;
    FILE *file = rules ? fopen(rules, "re") : NULL;
    if (file == NULL) { errno = saved; return 0; }
    if (fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
    }
    while (!found && fscanf(file, "%31s %63s %31s", kind, end, value) == 3) {
        size_t whole = strlen(path), part = strlen(end);
        found = !strcmp(kind, call)
            && (fd < 0 || (whole >= part && !strcmp(path + whole - part, end)));
    }
    fclose(file);
    errno = saved;
    return found;
}

/* Do what a rule says; return -1 where the call fails. */
static int obey(const char *call, int fd) {
    char value[32];
    int found = find_rule(call, fd, value);
    while (found && !strcmp(value, "hold")) {
        struct timespec moment = {0, 5000000};
        nanosleep(&moment, NULL);
        found = find_rule(call, fd, value);
    }
    if (!found) return 0;
    if (!strcmp(value, "EIO")) { errno = EIO; return -1; }
    if (!strcmp(value, "ENOSPC")) { errno = ENOSPC; return -1; }
    if (!strcmp(value, "EDQUOT")) { errno = EDQUOT; return -1; }
    long ms = atol(value);
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return obey("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return obey("sync", fd) ? -1 : REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *data, size_t size) {
    return obey("write", fd) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return obey("write", fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return obey("write", fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
int statvfs(const char *path, struct statvfs *found) {
    char value[32];
    int result = REAL(statvfs)(path, found);
    if (!result && find_rule("free", -1, value)) found->f_bavail = atol(value) / found->f_frsize;
    return result;
}
int statvfs64(const char *path, struct statvfs64 *found) {
    char value[32];
    int result = REAL(statvfs64)(path, found);
    if (!result && find_rule("free", -1, value)) found->f_bavail = atol(value) / found->f_frsize;
    return result;
}
