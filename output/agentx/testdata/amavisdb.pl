# Makes snmp.db and nanny.db as amavis does, in the folder that is given, of lines "snmp.db KEY VALUE" on standard
# input.
use strict;
use warnings;
use BerkeleyDB;

my $env = BerkeleyDB::Env->new(-Home => $ARGV[0], -Mode => 0640, -Flags => DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL)
  or die "environment: $BerkeleyDB::Error";
my %db;
for my $name ('snmp.db', 'nanny.db') {
  $db{$name} = BerkeleyDB::Hash->new(-Filename => $name, -Flags => DB_CREATE, -Env => $env)
    or die "$name: $BerkeleyDB::Error";
}
while (<STDIN>) {
  chomp;
  my ($name, $key, $value) = split / /, $_, 3;
  $db{$name}->db_put($key, $value) == 0 or die "$key: $BerkeleyDB::Error";
}
