/*
 * The warden of a test program: a process beside it that outlives it by a
 * moment, however it ends.  A scene that fails, or a program that is
 * killed, leaves a proxy behind, generations that a hot restart made
 * nobody's children, a directory, and a segment in /dev/shm.  All of it is
 * known by the scene's directory: whatever writes its standard error
 * there, and lies there.
 */
#ifndef HARNESS_WARDEN_H
#define HARNESS_WARDEN_H

/* From now on what belongs to this directory ends with the program. */
void warden_watch(const char *dir);
/* It has been cleared away. */
void warden_forget(const char *dir);

#endif
