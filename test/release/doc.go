// Package release tests what users install: the archives, the wheels and install.sh that release/build.sh makes.
package release
