//go:build unix

package ingest

const postgresTables = `
create type mood as enum ('sad', 'ok', 'it''s fine');
create domain size as int check (value > 0);
create table every (
  id bigint, part text, ok boolean, i2 smallint, i4 int, f4 real, f8 double precision, n numeric(12,3), big numeric, m money, v varchar(20), c char(4), t text,
  u uuid, b bytea, d date, ts timestamp, tz timestamptz, ti time(3), j json, jb jsonb, e mood, s size, tags text[], bits bit(12), iv interval, addr inet, p point,
  primary key (part, id));
insert into every values
 (9223372036854775807, 'b', true, -32768, 2147483647, 0.1, 0.1, 123456789.125, 12345678901234567890.123456789, 12.5, 'é,"', 'ab', E'two\nlines',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff', '2024-02-29', '2024-02-29 12:34:56.123456', '2050-02-28 12:34:56.5+02', '23:59:59.999',
  '{"a": [1, 2]}', '{"b": null}', 'it''s fine', 7, array['x', null, 'y'], B'101000000001', '1 day', '10.0.0.1', '(1,2)');
insert into every (id, part) values (1, 'b'), (2, 'A');
create table client_data (id int primary key, name text not null, score float8);
insert into client_data select i, 'client ' || i, i / 7.0 from generate_series(1, 20000) i;
create table log (line text, n int);
insert into log values ('a', 1), ('a', 1), (null, 2);
create schema other;
create table other.side (x int primary key);
insert into other.side values (1);
`

const mariadbTables = `
create table every (
  id int primary key, ok tinyint(1), i1 tinyint, u8 bigint unsigned, f float, d double, n decimal(10,2), bi bit(12), y year, da date, ti time(6), dt datetime(6), ts timestamp null,
  e enum('a','b,''c'), se set('x','y','z'), c char(4), v varchar(20) character set utf8mb4, bl blob, j json) default charset utf8mb4;
set time_zone = '+02:00', sql_mode = '';
insert into every values (1, 1, -128, 18446744073709551615, 0.1, 0.1, -12345.67, b'101000000001', 1999, '2024-02-29', '-838:59:59', '2024-02-29 12:34:56.123456',
  '2024-02-29 14:34:56', 'b,''c', 'x,z', 'ab', 'é🎉,"', x'00ff', '{"a": [1, 2]}');
insert into every (id, v) values (2, 'two');
insert into every (id, dt) values (3, '0000-00-00');
create table names (name varchar(20) primary key, n int);
insert into names values ('a', 1);
`
