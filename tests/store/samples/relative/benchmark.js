let g = 0;
console.log('METRIC gaps=' + g);
