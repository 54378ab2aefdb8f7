/* Notes what a program does to the files below one folder, so that a power cut can be played back
 * afterwards: every write, and every sync that says which writes are on stable storage.
 *
 * Preloaded into the broker by the tests (LD_PRELOAD). POWERCUT_ROOT is the folder, an absolute
 * path; POWERCUT_JOURNAL is the file for the notes, which survives the program's SIGKILL because
 * the operating system has it. A file of that name with `.at` behind it holds a number: after so
 * many notes the program kills itself, which hits the moments between a write and its sync that a
 * kill from outside rarely does. tests/src/powercut.rs reads it and makes the folder that a machine
 * would find when the power comes back.
 *
 * A note is packed, little-endian: kind (1 byte), file (8), position (8), length (4), then so many
 * bytes. Kinds:
 *   O  a file that exists was opened; the bytes are its path. Gives it its number.
 *   C  a file was made; the bytes are its path
 *   W  a write of these bytes at this position
 *   T  the file's size is now `position`
 *   B  a sync of the file begins: it covers the writes noted before
 *   S  the sync has ended well; `position` is the file's size
 *   M  a folder was made (path)     X  a folder was removed (path)
 *   R  a rename: old path, a zero byte, new path
 *   U  a name was removed (path)
 *   D  a sync of a folder begins (path)     E  it has ended well (path)
 * What is noted was done: the note follows the call. A sync that fails has no end.
 *
 * Not seen: memory that is mapped and written, and what does not go through the C library (the
 * broker's fallocate, which changes nothing but sizes, and syncfs, which these tests do not reach).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define FILES 65536

struct fd_note {
    uint64_t file; /* 0: not below the folder */
    char *folder;  /* its path, if it is a folder */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fd_note fds[FDS];
static struct { ino_t ino; uint64_t file; } files[FILES];
static int file_count;
static uint64_t next_file = 1;
static const char *root;
static size_t root_length;
static int journal = -1;
static long notes_left = -1; /* -1: as many as come */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("POWERCUT_ROOT");
    const char *path = getenv("POWERCUT_JOURNAL");
    if (!root || !path) return;
    root_length = strlen(root);
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (journal < 0) abort();
    char at[4096], number[32] = {0};
    if (strlen(path) + 4 > sizeof at) abort();
    strcat(strcpy(at, path), ".at");
    int file = syscall(SYS_openat, AT_FDCWD, at, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && syscall(SYS_read, file, number, sizeof number - 1) > 0)
        notes_left = atol(number);
}

static int is_below(const char *path) {
    return journal >= 0 && path && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == 0);
}

static void append(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        long done = syscall(SYS_write, journal, at, length);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) abort(); /* a journal with a hole proves nothing */
        at += done;
        length -= done;
    }
}

static void note(char kind, uint64_t file, uint64_t position, const void *bytes, uint32_t length) {
    char head[21];
    head[0] = kind;
    memcpy(head + 1, &file, 8);
    memcpy(head + 9, &position, 8);
    memcpy(head + 17, &length, 4);
    append(head, sizeof head);
    append(bytes, length);
    if (notes_left > 0 && --notes_left == 0) raise(SIGKILL);
}

static void note_path(char kind, uint64_t file, const char *path) {
    note(kind, file, 0, path, strlen(path));
}

static struct fd_note *known(int fd) {
    if (journal < 0 || fd < 0 || fd >= FDS) return NULL;
    return fds[fd].file || fds[fd].folder ? &fds[fd] : NULL;
}

static uint64_t number_of(ino_t ino, int is_new, int *had) {
    for (int i = 0; i < file_count; i++) {
        if (files[i].ino != ino) continue;
        /* An inode that is used again is another file. */
        *had = !is_new;
        if (is_new) files[i].file = next_file++;
        return files[i].file;
    }
    if (file_count == FILES) abort();
    files[file_count].ino = ino;
    files[file_count].file = next_file++;
    *had = 0;
    return files[file_count++].file;
}

static int opened(int fd, const char *path, int flags, int existed) {
    if (fd < 0 || fd >= FDS || !is_below(path)) return fd;
    struct stat st;
    if (fstat(fd, &st) != 0) return fd;
    if (S_ISDIR(st.st_mode)) {
        fds[fd].folder = strdup(path);
        return fd;
    }
    int had;
    uint64_t file = number_of(st.st_ino, !existed, &had);
    fds[fd].file = file;
    if (!existed) note_path('C', file, path);
    else if (!had) note_path('O', file, path);
    if (existed && (flags & O_TRUNC)) note('T', file, 0, "", 0);
    return fd;
}

static int do_open(const char *name, const char *path, int flags, mode_t mode) {
    int (*call)(const char *, int, ...) = (int (*)(const char *, int, ...))real(name);
    if (!is_below(path)) return call(path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = access(path, F_OK) == 0;
    int fd = opened(call(path, flags, mode), path, flags, existed);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return do_open("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return do_open("open64", path, flags, mode);
}

int close(int fd) {
    int (*call)(int) = REAL(close);
    if (known(fd)) {
        pthread_mutex_lock(&lock);
        free(fds[fd].folder);
        fds[fd].folder = NULL;
        fds[fd].file = 0;
        pthread_mutex_unlock(&lock);
    }
    return call(fd);
}

static void wrote(int fd, const void *bytes, ssize_t done, off_t position) {
    struct fd_note *of = known(fd);
    if (!of || !of->file || done <= 0) return;
    int error = errno;
    pthread_mutex_lock(&lock);
    note('W', of->file, position, bytes, done);
    pthread_mutex_unlock(&lock);
    errno = error;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t (*call)(int, const void *, size_t) = REAL(write);
    if (!known(fd)) return call(fd, bytes, length);
    ssize_t done = call(fd, bytes, length);
    wrote(fd, bytes, done, lseek(fd, 0, SEEK_CUR) - done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t position) {
    ssize_t (*call)(int, const void *, size_t, off_t) = REAL(pwrite);
    ssize_t done = call(fd, bytes, length, position);
    wrote(fd, bytes, done, position);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t position) {
    ssize_t (*call)(int, const void *, size_t, off64_t) = REAL(pwrite64);
    ssize_t done = call(fd, bytes, length, position);
    wrote(fd, bytes, done, position);
    return done;
}

static void wrote_vector(int fd, const struct iovec *parts, int count, ssize_t done, off_t at) {
    for (int i = 0; i < count && done > 0; i++) {
        ssize_t part = (ssize_t)parts[i].iov_len < done ? (ssize_t)parts[i].iov_len : done;
        wrote(fd, parts[i].iov_base, part, at);
        at += part;
        done -= part;
    }
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t (*call)(int, const struct iovec *, int) = REAL(writev);
    if (!known(fd)) return call(fd, parts, count);
    ssize_t done = call(fd, parts, count);
    wrote_vector(fd, parts, count, done, lseek(fd, 0, SEEK_CUR) - done);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t position) {
    ssize_t (*call)(int, const struct iovec *, int, off_t) = REAL(pwritev);
    ssize_t done = call(fd, parts, count, position);
    wrote_vector(fd, parts, count, done, position);
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t position) {
    ssize_t (*call)(int, const struct iovec *, int, off64_t) = REAL(pwritev64);
    ssize_t done = call(fd, parts, count, position);
    wrote_vector(fd, parts, count, done, position);
    return done;
}

static int resized(int fd, int result, off_t size) {
    struct fd_note *of = known(fd);
    if (result == 0 && of && of->file) {
        pthread_mutex_lock(&lock);
        note('T', of->file, size, "", 0);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int ftruncate(int fd, off_t size) { return resized(fd, REAL(ftruncate)(fd, size), size); }

int ftruncate64(int fd, off64_t size) { return resized(fd, REAL(ftruncate64)(fd, size), size); }

static int synced(int fd, int (*call)(int)) {
    struct fd_note *of = known(fd);
    if (!of) return call(fd);
    struct stat st;
    pthread_mutex_lock(&lock);
    uint64_t file = of->file;
    char *folder = of->folder ? strdup(of->folder) : NULL;
    if (folder) note_path('D', 0, folder);
    else note('B', file, 0, "", 0);
    pthread_mutex_unlock(&lock);
    int result = call(fd);
    int error = errno;
    if (result == 0 && fstat(fd, &st) == 0) {
        pthread_mutex_lock(&lock);
        if (folder) note_path('E', 0, folder);
        else note('S', file, st.st_size, "", 0);
        pthread_mutex_unlock(&lock);
    }
    free(folder);
    errno = error;
    return result;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int rename(const char *from, const char *to) {
    int (*call)(const char *, const char *) = REAL(rename);
    if (!is_below(from) || !is_below(to)) return call(from, to);
    pthread_mutex_lock(&lock);
    int result = call(from, to);
    int error = errno;
    if (result == 0) {
        size_t first = strlen(from) + 1, second = strlen(to);
        char *both = malloc(first + second);
        memcpy(both, from, first);
        memcpy(both + first, to, second);
        note('R', 0, 0, both, first + second);
        free(both);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int changed(const char *path, char kind, int result) {
    int error = errno;
    if (result == 0 && is_below(path)) {
        pthread_mutex_lock(&lock);
        note_path(kind, 0, path);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}

int unlink(const char *path) { return changed(path, 'U', REAL(unlink)(path)); }

int rmdir(const char *path) { return changed(path, 'X', REAL(rmdir)(path)); }

int mkdir(const char *path, mode_t mode) { return changed(path, 'M', REAL(mkdir)(path, mode)); }

int unlinkat(int folder, const char *path, int flags) {
    int result = REAL(unlinkat)(folder, path, flags);
    int error = errno;
    struct fd_note *of = known(folder);
    if (result == 0 && of && of->folder) {
        char whole[4096];
        size_t first = strlen(of->folder), second = strlen(path);
        if (first + second + 2 > sizeof whole) abort();
        memcpy(whole, of->folder, first);
        whole[first] = '/';
        memcpy(whole + first + 1, path, second + 1);
        changed(whole, (flags & AT_REMOVEDIR) ? 'X' : 'U', 0);
    }
    errno = error;
    return result;
}

int openat64(int folder, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    int (*call)(int, const char *, int, ...) = REAL(openat64);
    int fd = call(folder, path, flags, mode);
    struct fd_note *of = known(folder);
    /* Only what remove_dir_all opens: folders, to remove what is in them. */
    if (fd >= 0 && fd < FDS && of && of->folder) {
        struct stat st;
        if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode)) abort();
        char whole[4096];
        if (strlen(of->folder) + strlen(path) + 2 > sizeof whole) abort();
        strcpy(whole, of->folder);
        strcat(whole, "/");
        strcat(whole, path);
        fds[fd].folder = strdup(whole);
    } else if (fd >= 0 && fd < FDS && is_below(path)) {
        pthread_mutex_lock(&lock);
        opened(fd, path, flags, 1);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}
