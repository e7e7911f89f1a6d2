/* The program's version as users and clients see it. */
#ifndef SEEKD_VERSION_H
#define SEEKD_VERSION_H

#ifdef PACKAGE_VERSION
#define SEEKD_VERSION PACKAGE_VERSION
#else
#define SEEKD_VERSION "0-unversioned"
#endif

#endif
