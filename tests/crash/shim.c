/* Loaded before the C library (LD_PRELOAD): sees every call by which a process
 * changes files below one directory, numbers them from 1, and does to one of them,
 * or to all from one on, what a crash or a failing disk would do.
 *
 * CRASH_BELOW   the directory; calls on other files pass untouched
 * CRASH_PLAN    kill N        the process dies in place of call N
 *               tear N        it dies when half of the bytes of write N are written
 *               once N E      call N fails with errno E
 *               from N E      call N and all after it fail with errno E
 *               absent: nothing is done
 * CRASH_ARMED   present: counting begins at the start, not at crash_arm()
 * CRASH_TRACE   a file that receives every call with its data, see crash/trace.rs
 *
 * Nothing is synced: the machine does not fail in these tests, only processes do.
 * What a power cut leaves is computed from the trace, where syncs are noted.
 *
 * The calls are made with syscall(2), so that nothing here calls itself. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum plan { NOTHING, KILL, TEAR, ONCE, FROM };

static char below[PATH_MAX];
static size_t below_length;
static enum plan plan;
static long planned, count;
static int planned_errno, armed, trace = -1;
/* Held from the decision over a call until the call is made and traced. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("CRASH_BELOW");
	if (!text)
		return;
	below_length = (size_t)snprintf(below, sizeof below, "%s", text);
	/* Who hangs is killed: the test sees the signal. */
	alarm(120);
	armed = getenv("CRASH_ARMED") != NULL;
	text = getenv("CRASH_PLAN");
	char name[8] = "";
	if (text && sscanf(text, "%7s %ld %d", name, &planned, &planned_errno) >= 2)
		plan = !strcmp(name, "kill") ? KILL : !strcmp(name, "tear") ? TEAR
		     : !strcmp(name, "once") ? ONCE : FROM;
	text = getenv("CRASH_TRACE");
	if (text)
		trace = (int)syscall(SYS_openat, AT_FDCWD, text,
				     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The tests begin and end what is counted, and learn how much it was. */
long crash_arm(int on)
{
	armed = on;
	return count;
}

static int is_below(const char *path)
{
	return below_length && !strncmp(path, below, below_length)
		&& (path[below_length] == '/' || path[below_length] == 0);
}

/* The path of a descriptor or, given `name`, of a name in that directory. */
static int locate(char *path, int directory, const char *name)
{
	char link[64];
	ssize_t length = 0;
	if (!below_length)
		return 0;
	if (!name || name[0] != '/') {
		if (directory == AT_FDCWD)
			snprintf(link, sizeof link, "/proc/self/cwd");
		else
			snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
		length = syscall(SYS_readlinkat, AT_FDCWD, link, path, (size_t)PATH_MAX);
		if (length < 0 || length >= PATH_MAX)
			return 0;
	}
	if (name)
		snprintf(path + length, (size_t)(PATH_MAX - length), "%s%s", length ? "/" : "", name);
	else
		path[length] = 0;
	return is_below(path);
}

static void put(const void *bytes, size_t length)
{
	const char *at = bytes;
	while (length) {
		ssize_t done = syscall(SYS_write, trace, at, length);
		if (done <= 0)
			abort();
		at += done;
		length -= (size_t)done;
	}
}

/* One line of the trace: what, the call's ordinal (0: not counted), the file's
 * number, where, how much, the name; then that many bytes of data. */
static void note(const char *what, unsigned long inode, long long at, size_t length,
		 const char *name, const void *data)
{
	char line[2 * PATH_MAX + 128];
	if (trace < 0)
		return;
	int used = snprintf(line, sizeof line, "%s %ld %lu %lld %zu %s\n", what,
			    armed ? count : 0, inode, at, length, name);
	put(line, (size_t)used);
	if (data)
		put(data, length);
}

/* Something that the test says, at its place among the calls. */
void crash_mark(const char *text)
{
	pthread_mutex_lock(&lock);
	note("mark", 0, 0, 0, text, NULL);
	pthread_mutex_unlock(&lock);
}

static unsigned long inode_of(int file)
{
	struct stat found;
	return syscall(SYS_fstat, file, &found) ? 0 : found.st_ino;
}

static unsigned long inode_at(const char *path)
{
	struct stat found;
	return syscall(SYS_newfstatat, AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) ? 0 : found.st_ino;
}

static void die(void)
{
	syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
	for (;;)
		pause();
}

/* Which errors a call can really end with: a full disk does not refuse to remove,
 * permissions are asked for names only. */
enum sort { NAME, MAKE, WRITE, SYNC };

static int can_fail(enum sort sort, int with)
{
	if (with == ENOSPC)
		return sort != NAME;
	if (with == EACCES)
		return sort == NAME || sort == MAKE;
	return 1;
}

/* Decides over one call. 0: make it; -1: it fails with errno; 1: tear it. */
static int decide(enum sort sort)
{
	if (!armed)
		return 0;
	count++;
	if (plan == KILL && count == planned)
		die();
	if (plan == TEAR && count == planned)
		return 1;
	if ((plan == ONCE && count == planned) || (plan == FROM && count >= planned)) {
		if (can_fail(sort, planned_errno)) {
			errno = planned_errno;
			return -1;
		}
	}
	return 0;
}

static ssize_t do_write(int file, const char *data, size_t length, off_t at, int positioned)
{
	char path[PATH_MAX];
	if (!locate(path, file, NULL))
		return positioned ? syscall(SYS_pwrite64, file, data, length, at)
				  : syscall(SYS_write, file, data, length);
	pthread_mutex_lock(&lock);
	int verdict = decide(WRITE);
	ssize_t done = -1;
	if (verdict >= 0) {
		if (!positioned) {
			/* An open file of ours is written at its position or at its end. */
			if (fcntl(file, F_GETFL) & O_APPEND)
				at = lseek(file, 0, SEEK_END);
			else
				at = lseek(file, 0, SEEK_CUR);
		}
		if (verdict == 1)
			length /= 2;
		done = positioned ? syscall(SYS_pwrite64, file, data, length, at)
				  : syscall(SYS_write, file, data, length);
		if (verdict == 1)
			die();
		if (done >= 0)
			note("write", inode_of(file), at, (size_t)done, path, data);
	}
	int kept = errno;
	pthread_mutex_unlock(&lock);
	errno = kept;
	return done;
}

ssize_t write(int file, const void *data, size_t length)
{
	return do_write(file, data, length, 0, 0);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t at)
{
	return do_write(file, data, length, at, 1);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t at)
{
	return do_write(file, data, length, at, 1);
}

ssize_t writev(int file, const struct iovec *parts, int number)
{
	char path[PATH_MAX];
	if (!locate(path, file, NULL))
		return syscall(SYS_writev, file, parts, number);
	/* As a short write: the caller goes on by itself. */
	for (int part = 0; part < number; part++)
		if (parts[part].iov_len)
			return do_write(file, parts[part].iov_base, parts[part].iov_len, 0, 0);
	return 0;
}

static int do_sync(int file, long number)
{
	char path[PATH_MAX];
	if (!locate(path, file, NULL))
		return (int)syscall(number, file);
	pthread_mutex_lock(&lock);
	int done = decide(SYNC) < 0 ? -1 : 0, kept = errno;
	if (!done)
		note("sync", inode_of(file), 0, 0, path, NULL);
	pthread_mutex_unlock(&lock);
	errno = kept;
	return done;
}

int fsync(int file) { return do_sync(file, SYS_fsync); }
int fdatasync(int file) { return do_sync(file, SYS_fdatasync); }

static int do_truncate(int file, off_t length)
{
	char path[PATH_MAX];
	if (!locate(path, file, NULL))
		return (int)syscall(SYS_ftruncate, file, length);
	struct stat found;
	int grows = !syscall(SYS_fstat, file, &found) && length > found.st_size;
	pthread_mutex_lock(&lock);
	int done = decide(grows ? WRITE : NAME) < 0 ? -1 : (int)syscall(SYS_ftruncate, file, length);
	int kept = errno;
	if (!done)
		note("truncate", inode_of(file), length, 0, path, NULL);
	pthread_mutex_unlock(&lock);
	errno = kept;
	return done;
}

int ftruncate(int file, off_t length) { return do_truncate(file, length); }
int ftruncate64(int file, off64_t length) { return do_truncate(file, length); }

static int do_open(int directory, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	int writes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY;
	if (!writes || !locate(path, directory, name))
		return (int)syscall(SYS_openat, directory, name, flags, mode);
	pthread_mutex_lock(&lock);
	int makes = (flags & O_CREAT) && !inode_at(path);
	int file = decide(makes ? MAKE : NAME) < 0 ? -1
		 : (int)syscall(SYS_openat, directory, name, flags, mode);
	int kept = errno;
	if (file >= 0 && makes)
		note("make", inode_of(file), 0, 0, path, NULL);
	if (file >= 0 && !makes && (flags & O_TRUNC))
		note("truncate", inode_of(file), 0, 0, path, NULL);
	pthread_mutex_unlock(&lock);
	errno = kept;
	return file;
}

#define OPEN(function, directory, parameters, last) \
	int function parameters { \
		va_list rest; \
		va_start(rest, last); \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
		va_end(rest); \
		return do_open(directory, name, flags, mode); \
	}

OPEN(open, AT_FDCWD, (const char *name, int flags, ...), flags)
OPEN(open64, AT_FDCWD, (const char *name, int flags, ...), flags)
OPEN(openat, directory, (int directory, const char *name, int flags, ...), flags)
OPEN(openat64, directory, (int directory, const char *name, int flags, ...), flags)

/* What takes names: makes the call, traces it under its name. */
#define NAMES(sort, what, number, path, name, ...) \
	do { \
		pthread_mutex_lock(&lock); \
		unsigned long before = inode_at(path); \
		int done = decide(sort) < 0 ? -1 : (int)syscall(number, __VA_ARGS__); \
		int kept = errno; \
		if (!done) \
			note(what, before ? before : inode_at(path), 0, 0, name, NULL); \
		pthread_mutex_unlock(&lock); \
		errno = kept; \
		return done; \
	} while (0)

int mkdirat(int directory, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	if (!locate(path, directory, name))
		return (int)syscall(SYS_mkdirat, directory, name, mode);
	NAMES(MAKE, "mkdir", SYS_mkdirat, path, path, directory, name, mode);
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int unlinkat(int directory, const char *name, int flags)
{
	char path[PATH_MAX];
	if (!locate(path, directory, name))
		return (int)syscall(SYS_unlinkat, directory, name, flags);
	NAMES(NAME, "remove", SYS_unlinkat, path, path, directory, name, flags);
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

/* The two names of a rename or a link stand in the trace with a tab between. */
static int do_move(const char *what, long number, int from, const char *old, int to,
		   const char *new, int flags)
{
	char old_path[PATH_MAX], new_path[PATH_MAX], both[2 * PATH_MAX];
	int old_below = locate(old_path, from, old), new_below = locate(new_path, to, new);
	if (!old_below && !new_below)
		return (int)syscall(number, from, old, to, new, flags);
	snprintf(both, sizeof both, "%s\t%s", old_path, new_path);
	NAMES(MAKE, what, number, old_path, both, from, old, to, new, flags);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	return do_move("rename", SYS_renameat2, from, old, to, new, (int)flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	return do_move("link", SYS_linkat, from, old, to, new, flags);
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
