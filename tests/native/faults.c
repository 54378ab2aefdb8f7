/* Makes a program's disk and clock misbehave while it runs.
 *
 * Preloaded into the broker by the tests (LD_PRELOAD), before powercut.c if both are. FAULTS_CONTROL
 * is a file with what is wrong at the moment, which the test writes and this maps; tests/src/faults.rs
 * knows its form: four 32-bit numbers and a 64-bit one, in the machine's byte order.
 *
 *   sync_errno      fsync and fdatasync fail with this error, if not 0, and sync nothing
 *   sync_delay_ms   they take so much longer
 *   write_errno     writes to regular files fail with this error, if not 0, and write nothing
 *   growth_errno    the same, of those only that need more room than the file was given
 *   clock_ms        the clock of the day is so much ahead; the monotonic one is not touched
 *
 * Not seen: what does not go through the C library, such as the broker's fallocate.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int32_t sync_errno, sync_delay_ms, write_errno, growth_errno;
    volatile int64_t clock_ms;
};

static struct control none;
static struct control *control = &none;

/* The next library's function of this name. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) control = mapped;
    syscall(SYS_close, fd);
}

static int sync_fails(void) {
    int32_t delay = control->sync_delay_ms;
    if (delay > 0) {
        struct timespec time = {delay / 1000, delay % 1000 * 1000000L};
        nanosleep(&time, NULL);
    }
    errno = control->sync_errno;
    return errno != 0;
}

int fsync(int fd) { return sync_fails() ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return sync_fails() ? -1 : REAL(fdatasync)(fd); }

/* A full disk takes what it has given room for before. A position below 0 is where the file is. */
static int has_room(int fd, const struct stat *of, off_t position, size_t length) {
    if (position < 0) {
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        position = appends ? of->st_size : lseek(fd, 0, SEEK_CUR);
    }
    off_t end = position + (off_t)length;
    return end <= of->st_size && end <= of->st_blocks * 512;
}

/* Sockets, pipes and terminals go on working. */
static int write_fails(int fd, off_t position, size_t length) {
    int32_t always = control->write_errno, growing = control->growth_errno;
    struct stat of;
    if ((always == 0 && growing == 0) || fstat(fd, &of) != 0 || !S_ISREG(of.st_mode)) return 0;
    if (always == 0 && has_room(fd, &of, position, length)) return 0;
    errno = always != 0 ? always : growing;
    return 1;
}

static size_t all_of(const struct iovec *parts, int count) {
    size_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    return length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return write_fails(fd, -1, length) ? -1 : REAL(write)(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t position) {
    return write_fails(fd, position, length) ? -1 : REAL(pwrite)(fd, bytes, length, position);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t position) {
    return write_fails(fd, position, length) ? -1 : REAL(pwrite64)(fd, bytes, length, position);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_fails(fd, -1, all_of(parts, count)) ? -1 : REAL(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t position) {
    return write_fails(fd, position, all_of(parts, count)) ? -1 : REAL(pwritev)(fd, parts, count, position);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t position) {
    return write_fails(fd, position, all_of(parts, count)) ? -1 : REAL(pwritev64)(fd, parts, count, position);
}

int clock_gettime(clockid_t id, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, id, time);
    int64_t ahead = control->clock_ms;
    if (result != 0 || ahead == 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return result;
    int64_t nanos = time->tv_nsec + ahead % 1000 * 1000000;
    time->tv_sec += ahead / 1000 + (nanos < 0 ? -1 : nanos / 1000000000);
    time->tv_nsec = nanos < 0 ? nanos + 1000000000 : nanos % 1000000000;
    return 0;
}
