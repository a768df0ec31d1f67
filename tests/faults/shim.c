/* Faults on order, for LD_PRELOAD: what a disk, a kernel or a clock can do to a command at its n-th step.

   cc -shared -fPIC -O1 -o shim.so shim.c -ldl

   Environment, read when the process starts and again at faults_arm():
     FAULTS_KIND     count: nothing goes wrong | kill: the process group ends before the step | nospace: from the step on
                     the disk is full, after half of what is being written | readonly: from the step on nothing can be
                     made, changed or removed | io: the step fails with EIO | read: reading fails with EIO, once |
                                     vanish: before the step the file FAULTS_GONE is renamed to FAULTS_HIDDEN |
                     clock: the time of day leaps to and fro by years (its questions are the steps)
     FAULTS_AT       number of the step, from 1
     FAULTS_FOLDER   steps are calls that change something below this folder; for `read`: reads of what is below it
     FAULTS_COUNT    a file of 8 bytes, shared by all processes: how many steps there were */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE, COUNT, KILL, NOSPACE, READONLY, IO, READ, VANISH, CLOCK };
static const char *const names[] = {"", "count", "kill", "nospace", "readonly", "io", "read", "vanish", "clock"};

static enum kind kind = NONE;
static long at = 0;
static char folder[4096] = "";
static size_t folder_length = 0;
static long *steps = NULL;

void faults_arm(void) {
  const char *name = getenv("FAULTS_KIND"), *n = getenv("FAULTS_AT");
  const char *where = getenv("FAULTS_FOLDER"), *count = getenv("FAULTS_COUNT");
  kind = NONE;
  if (!name || !where || !count) return;
  int file = open(count, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  steps = mmap(NULL, sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (steps == MAP_FAILED) { steps = NULL; return; }
  snprintf(folder, sizeof folder, "%s/", where);
  folder_length = strlen(folder);
  at = n ? atol(n) : 0;
  for (int i = COUNT; i <= CLOCK; i++)
    if (!strcmp(name, names[i])) kind = (enum kind)i;
}

__attribute__((constructor)) static void begin(void) { faults_arm(); }

static int below(const char *path) {
  return path && (!strncmp(path, folder, folder_length) ||
                  (strlen(path) + 1 == folder_length && !strncmp(path, folder, folder_length - 1)));
}

static int file_below(int file) {
  char link[64], path[4096];
  if (kind == NONE || kind == CLOCK) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  int error = errno;
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = error;
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

static void vanish(void) {
  const char *gone = getenv("FAULTS_GONE"), *hidden = getenv("FAULTS_HIDDEN");
  int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
  int error = errno;
  if (gone && hidden) real(gone, hidden);
  errno = error;
}

/* Count a step; the errno that it fails with, 0 when it is to go on. grows: whether it takes space; *half: set when the
   disk becomes full in the middle of this very step. */
static int step(int grows, int *half) {
  if (half) *half = 0;
  if (kind == NONE || kind == CLOCK || kind == READ || !steps) return 0;
  long now = __atomic_add_fetch(steps, 1, __ATOMIC_SEQ_CST);
  switch (kind) {
    case KILL:
      if (now >= at) { kill(0, SIGKILL); for (;;) pause(); }
      return 0;
    case NOSPACE:
      if (!grows || now < at) return 0;
      if (half && now == at) { *half = 1; return 0; }
      return ENOSPC;
    case READONLY: return now >= at ? EROFS : 0;
    case IO: return now == at ? EIO : 0;
    case VANISH:
      if (now == at) vanish();
      return 0;
    default: return 0;
  }
}

static int failed_read(int file) {
  if (kind != READ || !steps || !file_below(file)) return 0;
  return __atomic_add_fetch(steps, 1, __ATOMIC_SEQ_CST) == at;
}

#define REAL(name) \
  static __typeof__(name) *real = NULL; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL(error, value) do { int e = (error); if (e) { errno = e; return value; } } while (0)

static int changing(int flags) { return (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) != 0; }

#define OPENER(name, declared, passed, path_of) \
  int name declared { \
    REAL(name); \
    mode_t mode = 0; \
    if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
    if (kind > COUNT && changing(flags) && below(path_of)) FAIL(step(flags & O_CREAT, NULL), -1); \
    else if (kind == COUNT && changing(flags) && below(path_of)) step(1, NULL); \
    return real passed; \
  }
OPENER(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPENER(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPENER(openat, (int at_folder, const char *path, int flags, ...), (at_folder, path, flags, mode), path)
OPENER(openat64, (int at_folder, const char *path, int flags, ...), (at_folder, path, flags, mode), path)

ssize_t write(int file, const void *data, size_t size) {
  REAL(write);
  int half = 0;
  if (file_below(file)) FAIL(step(1, &half), -1);
  return real(file, data, half && size > 1 ? size / 2 : size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t where) {
  REAL(pwrite64);
  int half = 0;
  if (file_below(file)) FAIL(step(1, &half), -1);
  return real(file, data, half && size > 1 ? size / 2 : size, where);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t where) {
  REAL(pwrite);
  int half = 0;
  if (file_below(file)) FAIL(step(1, &half), -1);
  return real(file, data, half && size > 1 ? size / 2 : size, where);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  REAL(writev);
  if (file_below(file)) FAIL(step(1, NULL), -1);
  return real(file, parts, count);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
  REAL(fwrite);
  int half = 0;
  if (kind != NONE && kind != CLOCK && file_below(fileno(stream))) FAIL(step(1, &half), 0);
  return real(data, size, half && count > 1 ? count / 2 : count, stream);
}

#define ON_FILE(name, grows) \
  int name(int file) { REAL(name); if (file_below(file)) FAIL(step(grows, NULL), -1); return real(file); }
ON_FILE(fsync, 1)
ON_FILE(fdatasync, 1)

int ftruncate(int file, off_t size) { REAL(ftruncate); if (file_below(file)) FAIL(step(0, NULL), -1); return real(file, size); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); if (file_below(file)) FAIL(step(0, NULL), -1); return real(file, size); }

int rename(const char *from, const char *to) { REAL(rename); if (below(to)) FAIL(step(0, NULL), -1); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); if (below(to)) FAIL(step(0, NULL), -1); return real(a, from, b, to); }
int unlink(const char *path) { REAL(unlink); if (below(path)) FAIL(step(0, NULL), -1); return real(path); }
int unlinkat(int a, const char *path, int flags) { REAL(unlinkat); if (below(path)) FAIL(step(0, NULL), -1); return real(a, path, flags); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); if (below(path)) FAIL(step(1, NULL), -1); return real(path, mode); }
int chmod(const char *path, mode_t mode) { REAL(chmod); if (below(path)) FAIL(step(0, NULL), -1); return real(path, mode); }
int link(const char *from, const char *to) { REAL(link); if (below(to)) FAIL(step(1, NULL), -1); return real(from, to); }

ssize_t read(int file, void *data, size_t size) {
  REAL(read);
  if (failed_read(file)) FAIL(EIO, -1);
  return real(file, data, size);
}

ssize_t pread64(int file, void *data, size_t size, off64_t where) {
  REAL(pread64);
  if (failed_read(file)) FAIL(EIO, -1);
  return real(file, data, size, where);
}

/* The time of day: right, a year back, 30 years on, and so on, changing every seventh time that it is asked. */
static time_t leap(void) {
  static const long days[] = {0, -365, 10957, -1, 3650, 1};
  if (kind != CLOCK || !steps) return 0;
  long now = __atomic_add_fetch(steps, 1, __ATOMIC_SEQ_CST);
  return days[now / 7 % 6] * 86400L;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
  REAL(clock_gettime);
  int result = real(clock, found);
  if (!result && clock == CLOCK_REALTIME) found->tv_sec += leap();
  return result;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
  REAL(gettimeofday);
  int result = real(found, zone);
  if (!result) found->tv_sec += leap();
  return result;
}

time_t time(time_t *found) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (found) *found = now.tv_sec;
  return now.tv_sec;
}
