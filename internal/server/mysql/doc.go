// Package mysql serves an SQL engine to clients of MySQL's protocol: over TCP, over a unix socket, and over connections that were
// accepted elsewhere, whose peers have shown by getting there that they may do everything.
//
// Users and their rights are kept in a file, not in a database. While there are none, root may come in without a password, from this
// machine only.
package mysql
